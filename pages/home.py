"""Home."""

import streamlit as st

st.title("LLM From Scratch")
