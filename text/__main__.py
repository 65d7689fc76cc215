"""`python -m text train|inspect|encode|decode`: a tokenizer of any type on its own."""

import sys

from text.command_line import main

if __name__ == "__main__":
    sys.exit(main("python -m text"))
