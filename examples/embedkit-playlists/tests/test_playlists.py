"""How a plugin is tested: real files, the real plugin manager, a real training run."""

import pytest
from embedkit_playlists import MOODS, Playlists, read_songs

import embedkit
from embedkit.plugins import load_plugins


def test_the_installed_plugin_is_found():
    plugins = load_plugins()
    assert plugins.sources["playlists"] is Playlists
    assert not plugins.problems


def test_songs_are_read_from_titles_or_file_names():
    lines = ["#EXTM3U", "#EXTINF:215,The Kites - Lemon Street", "a/b.ogg", "", "C:\\music\\No Brakes.mp3", "# note"]
    assert list(read_songs(lines)) == ["The Kites - Lemon Street", "No Brakes"]


def test_a_folder_of_playlists_becomes_a_corpus(tmp_path):
    (tmp_path / "trip.m3u").write_text("Kites.ogg\nLamplight.ogg\n")
    (tmp_path / "empty.m3u8").write_text("#EXTM3U\n")
    corpus = embedkit.read("playlists", input=[str(tmp_path)])
    assert list(corpus.keys) == ["trip"]
    assert sorted(corpus.tokens) == ["Kites", "Lamplight"]
    assert corpus.dropped == {"playlists without songs": 1}


@pytest.mark.parametrize("content", [None, b"\xff\xfe\xfa"])
def test_what_cannot_be_read_is_told_in_one_line(tmp_path, content):
    path = tmp_path / "list.m3u"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(embedkit.SourceError, match=r"list\.m3u"):
        embedkit.read("playlists", input=[str(path)])


def test_songs_of_one_mood_are_similar():
    emb = embedkit.train("playlists", vector_size=16)
    near = [song for song, _ in emb.most_similar("Kites", topn=4)]
    assert set(near) == set(MOODS["sunny"]) - {"Kites"}
