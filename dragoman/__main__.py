"""python -m dragoman: the command, also where no script is installed."""

from dragoman.start import main

if __name__ == "__main__":
    main()
