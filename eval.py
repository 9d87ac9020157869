"""Certify a test set: python eval.py defender=mrcert."""

from mrcert_pl.cli.eval import main

if __name__ == "__main__":
    main()
