"""Makes the signed PDFs of the tests, good ones and bad ones. Run once; the tests need no Python.

    python3 -m venv v && v/bin/pip install pyhanko==0.38.0 && v/bin/python make.py

Every run makes new keys, which are thrown away, so commit all files of one run or none.
"""
import datetime
import io
import pathlib

from asn1crypto import algos, cms, keys, x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.writer import PdfFileWriter
from pyhanko.sign import fields, signers
from pyhanko.sign.fields import SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko_certvalidator.registry import SimpleCertificateStore

HERE = pathlib.Path(__file__).parent


def when(year):
    return datetime.datetime(year, 1, 1, tzinfo=datetime.timezone.utc)


def name(text):
    return x509.Name([
        x509.NameAttribute(NameOID.COUNTRY_NAME, "VN"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Kiểm thử Trạm"),
        x509.NameAttribute(NameOID.COMMON_NAME, text),
    ])


class Party:
    """A key and its certificate, below `issuer` or below itself."""

    def __init__(self, text, issuer=None, key=None, authority=False, years=(2026, 2036), usage=True):
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.issuer = issuer or self
        self.name = name(text)
        public = self.key.public_key()
        above = self.issuer.key
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name).issuer_name(self.issuer.name).public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(when(years[0])).not_valid_after(when(years[1]))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), critical=False)
            .add_extension(x509.KeyUsage(
                digital_signature=not authority and usage, content_commitment=not authority and usage,
                key_encipherment=not authority and not usage, data_encipherment=False, key_agreement=False,
                key_cert_sign=authority, crl_sign=authority, encipher_only=False, decipher_only=False,
            ), critical=True)
        )
        digest = hashes.SHA384() if getattr(getattr(above, "curve", None), "name", "") == "secp384r1" else hashes.SHA256()
        self.certificate = builder.sign(above, digest)

    def der(self):
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def signer(self, chain, **more):
        private = self.key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        store = SimpleCertificateStore()
        store.register_multiple([asn1_x509.Certificate.load(party.der()) for party in chain])
        return signers.SimpleSigner(
            signing_cert=asn1_x509.Certificate.load(self.der()), signing_key=keys.PrivateKeyInfo.load(private),
            cert_registry=store, embed_roots=False, **more)


def plain(stream_xrefs=False, dangling=False):
    """One page that says a sum of money; with `dangling`, the page also names an object that is not there."""
    writer = PdfFileWriter(stream_xrefs=stream_xrefs)
    said = generic.StreamObject(stream_data=b"BT /F1 18 Tf 60 700 Td (Cap kinh phi: 100 trieu dong) Tj ET")
    said = writer.add_object(said)
    font = generic.DictionaryObject({
        pdf_name("/Type"): pdf_name("/Font"), pdf_name("/Subtype"): pdf_name("/Type1"),
        pdf_name("/BaseFont"): pdf_name("/Helvetica")})
    font = writer.add_object(font)
    resources = generic.DictionaryObject({
        pdf_name("/Font"): generic.DictionaryObject({pdf_name("/F1"): font})})
    contents = [said]
    if dangling:
        contents.append(generic.IndirectObject(90, 0, writer))
    page = generic.DictionaryObject({
        pdf_name("/Type"): pdf_name("/Page"), pdf_name("/Resources"): resources,
        pdf_name("/MediaBox"): generic.ArrayObject([generic.NumberObject(n) for n in (0, 0, 595, 842)]),
        pdf_name("/Contents"): generic.ArrayObject(contents)})
    writer.insert_page(page)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def sign(pdf, signer, field="Ky1", pades=True, digest="sha256", box=None, **more):
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    subfilter = SigSeedSubFilter.PADES if pades else SigSeedSubFilter.ADOBE_PKCS7_DETACHED
    meta = signers.PdfSignatureMetadata(field_name=field, md_algorithm=digest, subfilter=subfilter,
                                        signer_key_usage=set(), **more)
    spec = SigFieldSpec(field, box=box, on_page=0) if box else None
    return signers.PdfSigner(meta, signer, new_field_spec=spec).sign_pdf(writer).getvalue()


def updated(pdf, change):
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    change(writer)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


OTHER = b"BT /F1 18 Tf 60 700 Td (Cap kinh phi: 900 trieu dong) Tj ET"


def other_sum(writer):
    """Puts other words in the place of the page's own."""
    reference = writer.root["/Pages"]["/Kids"][0]["/Contents"].raw_get(0)
    stream = reference.get_object()
    stream._data = OTHER
    stream._encoded_data = None
    writer.mark_update(reference)


def fill_the_gap(writer):
    """Adds the object that the signed page names and that was not there: nothing that was signed is overridden."""
    stream = generic.StreamObject(stream_data=OTHER.replace(b"700", b"660"))
    writer.objects[(0, 90)] = stream
    stream.container_ref = generic.Reference(90, 0, writer)
    writer._lastobj_id = 90


def other_catalogue(writer):
    """Replaces the root of the pages: everything that was signed is there still, and nothing of it is shown."""
    old = writer.root["/Pages"]["/Kids"][0]
    page = generic.DictionaryObject({key: old.raw_get(key) for key in old})
    page[pdf_name("/Contents")] = writer.add_object(generic.StreamObject(stream_data=OTHER))
    pages = generic.DictionaryObject({pdf_name("/Type"): pdf_name("/Pages"), pdf_name("/Count"): generic.NumberObject(1)})
    page[pdf_name("/Parent")] = above = writer.add_object(pages)
    pages[pdf_name("/Kids")] = generic.ArrayObject([writer.add_object(page)])
    writer.root[pdf_name("/Pages")] = above
    writer.update_root()


def with_other_certificate(pdf, other):
    """Puts another certificate of the same key in the place of the one that was signed with."""
    start = pdf.index(b"/Contents <") + len(b"/Contents <")
    end = pdf.index(b">", start)
    message = cms.ContentInfo.load(bytes.fromhex(pdf[start:end].decode()))
    data = message["content"]
    signer = data["signer_infos"][0]["sid"].chosen["serial_number"].native
    other = asn1_x509.Certificate.load(other.der())
    data["certificates"] = [
        other if choice.chosen.serial_number == signer else choice.chosen for choice in data["certificates"]]
    data["signer_infos"][0]["sid"].chosen["serial_number"] = other.serial_number
    digits = message.dump(force=True).hex().encode()
    return pdf[:start] + digits.ljust(end - start, b"0") + pdf[end:]


def stray(writer):
    writer.add_object(generic.DictionaryObject({pdf_name("/Stray"): generic.NumberObject(1)}))


def main():
    root = Party("Gốc kiểm thử", key=rsa.generate_private_key(65537, 2048), authority=True)
    middle = Party("Cơ quan cấp kiểm thử", root, rsa.generate_private_key(65537, 2048), authority=True)
    curve_root = Party("Gốc kiểm thử P-384", key=ec.generate_private_key(ec.SECP384R1()), authority=True)
    foreign = Party("Gốc lạ", authority=True)
    namesake = Party("Gốc kiểm thử", authority=True)

    officer = Party("Nguyễn Văn An", middle, rsa.generate_private_key(65537, 2048))
    second = Party("Trần Thị Bình", curve_root)
    third = Party("Lê Văn Cường", curve_root, ec.generate_private_key(ec.SECP384R1()))
    stranger = Party("Người Lạ", foreign)
    imposter = Party("Nguyễn Văn An", namesake)
    expired = Party("Phạm Hết Hạn", curve_root, years=(2020, 2021))
    no_signer = Party("Khoá Mã Hoá", curve_root, usage=False)

    (HERE / "trust").mkdir(exist_ok=True)
    (HERE / "trust" / "root.pem").write_bytes(root.pem())
    (HERE / "trust" / "root-p384.der").write_bytes(curve_root.der())

    an, binh = officer.signer([middle, root]), second.signer([curve_root])
    made = {}
    made["plain"] = plain()
    made["rsa-pades"] = sign(plain(), an)
    made["rsa-adbe"] = sign(plain(), an, pades=False, digest="sha512")
    # By itself pyHanko takes the longest salt that fits, which ring does not verify.
    made["rsa-pss-long-salt"] = sign(plain(), officer.signer([middle, root], prefer_pss=True))
    made["rsa-pss"] = sign(plain(), officer.signer([middle, root], signature_mechanism=algos.SignedDigestAlgorithm({
        "algorithm": "rsassa_pss", "parameters": algos.RSASSAPSSParams({
            "hash_algorithm": algos.DigestAlgorithm({"algorithm": "sha256"}),
            "mask_gen_algorithm": algos.MaskGenAlgorithm(
                {"algorithm": "mgf1", "parameters": algos.DigestAlgorithm({"algorithm": "sha256"})}),
            "salt_length": 32})})))
    made["p256"] = sign(plain(stream_xrefs=True), binh)
    made["p384"] = sign(plain(), third.signer([curve_root]), digest="sha384")
    made["visible"] = sign(plain(), binh, box=(300, 60, 500, 120))
    made["sha1"] = sign(plain(), binh, pades=False, digest="sha1")
    made["p256-sha512"] = sign(plain(), binh, digest="sha512")
    made["untrusted"] = sign(plain(), stranger.signer([foreign]))
    made["imposter"] = sign(plain(), imposter.signer([namesake]))
    made["expired"] = sign(plain(), expired.signer([curve_root]))
    made["other-usage"] = sign(plain(), no_signer.signer([curve_root]))

    made["exchanged"] = with_other_certificate(made["p256"], Party("Trần Thị Bình (khác)", curve_root, second.key))

    once = made["rsa-pades"]
    made["two"] = sign(once, binh, field="Ky2", box=(300, 60, 500, 120))
    made["two-second-untrusted"] = sign(once, stranger.signer([foreign]), field="Ky2")
    made["changed"] = updated(once, other_sum)
    made["changed-then-signed"] = sign(made["changed"], binh, field="Ky2")
    made["shadow-hidden"] = updated(sign(plain(dangling=True), an), fill_the_gap)
    made["shadow-replaced"] = updated(once, other_catalogue)
    made["stray"] = updated(once, stray)

    def prepared(writer):
        fields.append_signature_field(writer, SigFieldSpec("Ky1"))
        fields.append_signature_field(writer, SigFieldSpec("Ky2", box=(300, 60, 500, 120), on_page=0))
    made["prepared-fields"] = sign(sign(updated(plain(), prepared), an, field="Ky1"), binh, field="Ky2")

    out = io.BytesIO(once)
    DocumentSecurityStore.add_dss(out, None, certs=[asn1_x509.Certificate.load(root.der())])
    made["dss"] = out.getvalue()

    made["certified"] = sign(plain(), an, certify=True, docmdp_permissions=fields.MDPPerm.NO_CHANGES)
    # pyHanko will not do it of itself; somebody else's program will.
    signers.PdfSigner._enforce_certification_constraints = lambda *_: None
    made["certified-then-signed"] = sign(made["certified"], binh, field="Ky2")

    writer = PdfFileWriter()
    writer.insert_page(generic.DictionaryObject({
        pdf_name("/Type"): pdf_name("/Page"), pdf_name("/Resources"): generic.DictionaryObject(),
        pdf_name("/MediaBox"): generic.ArrayObject([generic.NumberObject(n) for n in (0, 0, 99, 99)])}))
    writer.encrypt(owner_pass="chu", user_pass="")
    out = io.BytesIO()
    writer.write(out)
    writer = IncrementalPdfFileWriter(io.BytesIO(out.getvalue()))
    writer.encrypt("")
    made["encrypted"] = signers.PdfSigner(signers.PdfSignatureMetadata(field_name="Ky1", signer_key_usage=set()),
                                          binh).sign_pdf(writer).getvalue()

    for title, pdf in made.items():
        (HERE / f"{title}.pdf").write_bytes(pdf)
        print(f"{title}.pdf {len(pdf)}")


main()
