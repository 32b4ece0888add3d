"""Tests of the command `dragoman vm`: options, console, firmware calls, booting a folder."""
