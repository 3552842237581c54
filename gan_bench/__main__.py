"""`python -m gan_bench`: the same as the command gan-bench."""

from gan_bench.cli import main

if __name__ == "__main__":
    main()
