"""Parts of a screen: streamlit and plotly, no torch; `engines.py` is the only door to what computes."""
