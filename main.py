"""The app: `streamlit run main.py`. Page settings, look and navigation; each screen is one file under pages/."""

from pathlib import Path

import streamlit as st

from runs import machine
from ui.first_visit import reload_deep_link

ROOT = Path(__file__).parent
# Order, title, icon and address of every screen. A screen is listed when it works.
PAGES = (
    ("pages/home.py", "Home", ":material/home:", ""),
    ("pages/train_model.py", "Train", ":material/model_training:", "train"),
    ("pages/generate_text.py", "Generate", ":material/edit_note:", "generate"),
    ("pages/compare_runs.py", "Compare", ":material/compare_arrows:", "compare"),
    ("pages/look_inside.py", "Look inside", ":material/search_insights:", "look-inside"),
    ("pages/fine_tune.py", "Fine-tune", ":material/instant_mix:", "fine-tune"),
    ("pages/try_tokenizers.py", "Tokenizers", ":material/content_cut:", "tokenizers"),
    ("pages/learn_chapters.py", "Learn", ":material/school:", "learn"),
)

machine.share_cores()  # the pages load torch when they first need it
# The icon is a file of ours: Streamlit would fetch a :material/…: one from another site.
st.set_page_config(page_title="LLM From Scratch", page_icon=str(ROOT / "ui" / "icon.svg"), layout="wide")
st.html(ROOT / "ui" / "style.css")
# Popovers stand beside the app's element, which alone knows the theme: without this their colours are the light ones.
st.html(f"<style>:root {{ color-scheme: {st.context.theme.type or 'light'}; }}</style>")
page = st.navigation(
    [
        st.Page(file, title=title, icon=icon, url_path=address, default=not address)
        for file, title, icon, address in PAGES
        if (ROOT / file).exists()
    ],
    position="top",
)
reload_deep_link()
page.run()
