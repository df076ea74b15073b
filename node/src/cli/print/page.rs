//! A page to print: one file that needs nothing from outside, for A4.

use crate::words::Lang;

/// How the sheet lies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Paper {
    /// Upright, with the margins of Decree 30/2020 appendix I.
    Portrait,
    /// Lying, for the columns of a register.
    Landscape,
}

impl Paper {
    const fn rule(self) -> &'static str {
        match self {
            Self::Portrait => "@page { size: A4 portrait; margin: 20mm 15mm 20mm 30mm }\n",
            Self::Landscape => "@page { size: A4 landscape; margin: 15mm }\n",
        }
    }
}

/// A page as it grows. Markup is written in this program; every text from elsewhere is escaped, because there is no other way
/// to put it in.
pub(in crate::cli) struct Page {
    html: String,
}

impl Page {
    pub(in crate::cli) fn new(lang: Lang, title: &str, paper: Paper, style: &'static str) -> Self {
        let mut page = Self { html: String::from("<!doctype html>\n") };
        // A text that got past the escaping would still find nothing to load and nothing to run.
        page.html.push_str(&format!(
            "<html lang=\"{}\">\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <style>\n",
            lang.tag()
        ));
        page.markup(paper.rule());
        page.markup(
            "body { font: 11pt \"Times New Roman\", \"Liberation Serif\", serif; color: #000; background: #fff }\n\
             tr { page-break-inside: avoid }\n",
        );
        page.markup(style);
        page.markup("</style>\n");
        page.element("<title>", title, "</title>\n");
        page
    }

    pub(in crate::cli) fn markup(&mut self, markup: &'static str) {
        self.html.push_str(markup);
    }

    pub(in crate::cli) fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.html.push_str("&amp;"),
                '<' => self.html.push_str("&lt;"),
                '>' => self.html.push_str("&gt;"),
                '"' => self.html.push_str("&quot;"),
                '\'' => self.html.push_str("&#39;"),
                c => self.html.push(c),
            }
        }
    }

    pub(in crate::cli) fn element(&mut self, open: &'static str, text: &str, close: &'static str) {
        self.markup(open);
        self.text(text);
        self.markup(close);
    }

    pub(in crate::cli) fn finish(mut self) -> String {
        self.markup("</html>\n");
        self.html
    }
}
