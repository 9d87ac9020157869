"""Fine-tune a base model: python train.py dataset=digits patch=16."""

from mrcert_pl.cli.train import main

if __name__ == "__main__":
    main()
