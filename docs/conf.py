"""Settings of the documentation: `make docs` builds it into docs/_build. Nothing is loaded from outside."""

import serenade

project = "Serenade"
author = "The Serenade maintainers"
project_copyright = "The Serenade maintainers, Apache-2.0"
version = release = serenade.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_default_options = {"members": True, "exclude-members": "model_config, __init__"}
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"Serenade {version}"
