"""How Sphinx makes the site of what `build.py` has laid out. Nothing is loaded from elsewhere."""

project = "CQRS on Azure, a lab"
author = "the lab"
language = "en"

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"

# Links: a heading is an anchor as on GitHub, and a link without a target is a warning, which ends the build.
myst_heading_anchors = 4

html_theme = "furo"
html_title = project
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
html_use_index = False
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
highlight_language = "text"
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
