//! An approver reads what is proposed, and signs it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use schema::time::Millis;
use serde_json::json;

use super::super::approval::{Approver, Signed};
use super::super::proposal::ProposalFile;
use super::super::secret::{Key, Passphrase};
use super::super::{Refusal, files, show};
use super::Answer;

/// Prints what is proposed where `print` is given, asks unless `yes`, signs.
pub(super) fn sign(
    file: &Path,
    key_file: &Path,
    out: Option<PathBuf>,
    yes: bool,
    (passphrase, now): (Option<&Path>, Millis),
    print: Option<&impl Fn(&str) -> Result<()>>,
) -> Result<Answer> {
    let ProposalFile { proposal, .. } = ProposalFile::read(file)?;
    let terms = show::terms(&proposal)?;
    if let Some(print) = print {
        print(&terms)?;
    }
    if !yes {
        let mut answer = String::new();
        eprint!("\nĐồng ý đúng nội dung trên? Gõ `yes`. / Approve exactly this? Type `yes`: ");
        std::io::stdin()
            .read_line(&mut answer)
            .context("failed to read the answer; --yes signs without asking")?;
        ensure!(answer.trim() == "yes", "not approved; nothing was signed");
    }
    let key = Key::read(key_file, &Passphrase::obtain(passphrase, &format!("`{}`", key_file.display()))?)?;
    if let Some(founders) = proposal.founders() {
        // The name is whatever the keeper wrote; the key is what counts.
        let own = Approver::new("-", &key)?.key;
        ensure!(founders.iter().any(|approver| approver.key == own), Refusal::NotAFounder);
    }
    let approval = Signed::sign(&proposal, &key, now)?;
    let stem = key_file.file_stem().and_then(|stem| stem.to_str()).unwrap_or("approver");
    let out = out.unwrap_or_else(|| key_file.with_file_name(format!("{}-{stem}.approval.json", proposal.id)));
    files::create(&out, format!("{}\n", serde_json::to_string_pretty(&approval)?).as_bytes())?;
    let text = format!(
        "Đã ký; chuyển tệp này cho người giữ khóa của cơ quan cấp chứng thư.\n\
         Approved; give this file to whoever keeps the authority's key: {}\n",
        out.display()
    );
    Ok(Answer::well(text, json!({ "approval": out, "proposal": show::terms_json(&proposal)? })))
}
