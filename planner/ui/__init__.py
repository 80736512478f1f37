"""The pages of the browser app and their charts; the only importer of streamlit."""
