"""A real server on a free port of loopback, in a thread of the test's own process, and what asks it."""

import contextlib
import http.client
import json
import threading
import urllib.parse


class Client:
    """Asks a server; every answer is its status, its headers and its body, as JSON where it is."""

    def __init__(self, url):
        self.address = urllib.parse.urlsplit(url).hostname, urllib.parse.urlsplit(url).port

    def __call__(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(*self.address, timeout=20)
        with contextlib.closing(connection):
            if isinstance(body, dict | list):
                body = json.dumps(body)
            connection.request(method, path, body if body is None else body.encode(), headers or {})
            return read(connection.getresponse())

    def get(self, path, headers=None, **parameters):
        query = urllib.parse.urlencode(parameters, doseq=True)
        status, _, body = self("GET", f"{path}?{query}" if query else path, headers=headers)
        return status, body

    def post(self, path, body, headers=None):
        status, _, body = self("POST", path, body, headers)
        return status, body


def read(response):
    body = response.read()
    if body and response.headers.get_content_type() == "application/json":
        body = json.loads(body)
    return response.status, response.headers, body


@contextlib.contextmanager
def serving(model, **settings):
    """Serve a model file; give the client, with the server and its log as attributes."""
    from embedkit.server.running import Server
    from embedkit.server.settings import Settings

    log = []
    server = Server(Settings(model=model, port=0, watch=0.05, **settings), log.append)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert server.answers.wait(20)
        client = Client(server.url)
        client.server, client.log = server, log
        yield client
    finally:
        server.stop()
        thread.join(20)
        assert not thread.is_alive()
