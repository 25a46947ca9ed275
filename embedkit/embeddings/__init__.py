"""The value that training gives: vectors with names, what can be asked of them, and their file."""

from embedkit.embeddings.embeddings import Embeddings
from embedkit.embeddings.file import FileInfo, check_writable, info, load, save, verify
from embedkit.embeddings.results import Block, Explanation

__all__ = ["Block", "Embeddings", "Explanation", "FileInfo", "check_writable", "info", "load", "save", "verify"]
