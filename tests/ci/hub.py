"""A Hub on loopback: what huggingface_hub and kernels ask of it for one owner's kernels, no more.

Repositories live in memory; a branch is a dict of files.  `faults` are answered to the requests
that come next: a status, "hang up" or "stall", each once, where its part of the path occurs.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_tests"
STALL_SECONDS = 4.0
LARGE = (".so", ".metallib")  # these go through LFS


@functools.cache  # every answer names a commit, and so all of its files
def git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def revision(files: dict[str, bytes]) -> str:
    """A commit's name: of its content."""
    named = json.dumps({path: git_hash(data) for path, data in sorted(files.items())})
    return hashlib.sha1(named.encode(), usedforsecurity=False).hexdigest()


@dataclass
class Hub:
    """The state behind the server."""

    repositories: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)  # LFS, by SHA-256
    proposals: list[dict[str, Any]] = field(default_factory=list)
    faults: list[tuple[str, int | str]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def fault(self, request: str) -> int | str | None:
        """What goes wrong with this request, if anything."""
        with self.lock:
            self.log.append(request)
            for fault in self.faults:
                if fault[0] in request:
                    self.faults.remove(fault)
                    return fault[1]
        return None

    def files(self, repo: str, name: str) -> dict[str, bytes] | None:
        """The files of a branch, or of the commit with this hash."""
        branches = self.repositories.get(repo, {})
        by_hash = {revision(files): files for files in branches.values()}
        return branches.get(name, by_hash.get(name))


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def answer(self, status: int, body: Any = b"", **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def refuse(self, status: int, code: str = "") -> None:
        self.answer(status, {"error": code}, **({"X-Error-Code": code} if code else {}))

    def handle_request(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = self.chunks()
        wrong = self.hub.fault(f"{self.command} {path}")
        if wrong == "stall":
            time.sleep(STALL_SECONDS)
            wrong = "hang up"
        if wrong == "hang up":
            self.close_connection = True
            self.connection.close()
            return
        if wrong is not None:
            self.refuse(int(wrong))
            return
        writes = self.command in ("POST", "PUT") and "/paths-info/" not in path
        if (
            writes
            and self.headers.get("Authorization") != f"Bearer {TOKEN}"
            and "/blob/" not in path
        ):
            self.refuse(401)
            return
        for pattern, method in ROUTES:
            command, _, rest = pattern.partition(" ")
            if command == self.command and (found := re.fullmatch(rest, path)):
                method(self, body, *found.groups())
                return
        self.refuse(501, f"the Hub of the tests has no {self.command} {path}")

    do_GET = do_HEAD = do_POST = do_PUT = handle_request  # noqa: N815

    def chunks(self) -> bytes:
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    # --- what is asked for -----------------------------------------------------------------------

    def create(self, body: bytes) -> None:
        asked = json.loads(body)
        repo = "/".join(filter(None, (asked.get("organization"), asked["name"])))
        assert asked["type"] == "kernel"
        status = 409 if repo in self.hub.repositories else 200
        self.hub.repositories.setdefault(repo, {"main": {".gitattributes": b""}})
        self.answer(status, {"url": f"{self.root}/kernels/{repo}"})

    def validate(self, body: bytes) -> None:
        assert json.loads(body)["content"].startswith("---\n")
        self.answer(200, {"errors": [], "warnings": []})

    def branch(self, body: bytes, repo: str, name: str) -> None:
        branches = self.hub.repositories[repo]
        if name in branches:
            self.refuse(409)
            return
        branches[name] = dict(branches["main"])
        self.answer(200, {})

    def info(self, body: bytes, repo: str, name: str = "main") -> None:
        files = self.hub.files(repo, name)
        if repo not in self.hub.repositories:
            self.refuse(404, "RepoNotFound")
        elif files is None:
            self.refuse(404, "RevisionNotFound")
        else:
            self.answer(200, {"id": repo, "sha": revision(files), "private": False,
                              "siblings": [{"rfilename": path} for path in files]})  # fmt: skip

    def refs(self, body: bytes, repo: str) -> None:
        branches = self.hub.repositories.get(repo)
        if branches is None:
            self.refuse(404, "RepoNotFound")
            return
        listed = [
            {"name": name, "ref": f"refs/heads/{name}", "targetCommit": revision(files)}
            for name, files in branches.items()
        ]
        self.answer(200, {"branches": listed, "converts": [], "tags": []})

    def tree(self, body: bytes, repo: str, name: str, folder: str | None = None) -> None:
        files = self.hub.files(repo, name)
        if files is None:
            self.refuse(404, "RevisionNotFound")
            return
        inside = f"{folder.strip('/')}/" if folder else ""
        recursive = "recursive=true" in self.path.lower()
        entries: dict[str, dict[str, Any]] = {}
        for path, data in files.items():
            if path.startswith(inside):
                first, *rest = path[len(inside) :].split("/")
                if rest and not recursive:
                    entry = {"type": "directory", "path": inside + first, "oid": "0", "size": 0}
                    entries[inside + first] = entry
                else:
                    entries[path] = self.described(path, data)
        self.answer(200, list(entries.values()))

    @staticmethod
    def described(path: str, data: bytes) -> dict[str, Any]:
        entry = {"type": "file", "path": path, "oid": git_hash(data), "size": len(data)}
        if path.endswith(LARGE):
            sha = hashlib.sha256(data).hexdigest()
            entry["lfs"] = {"oid": sha, "size": len(data), "pointerSize": 130}
        return entry

    def preupload(self, body: bytes, repo: str, name: str) -> None:
        files = json.loads(body)["files"]
        for file in files:
            file["uploadMode"] = "lfs" if file["path"].endswith(LARGE) else "regular"
            file["shouldIgnore"] = False
        self.answer(200, {"files": files})

    def batch(self, body: bytes, repo: str) -> None:
        objects = json.loads(body)["objects"]
        for item in objects:
            if item["oid"] not in self.hub.blobs:
                item["actions"] = {"upload": {"href": f"{self.root}/blob/{item['oid']}"}}
        answered = {"transfer": "basic", "objects": objects}
        self.answer(200, answered, Content_Type="application/vnd.git-lfs+json")

    def blob(self, body: bytes, oid: str) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.blobs[oid] = body
        self.answer(200)

    def commit(self, body: bytes, repo: str, name: str) -> None:
        files = dict(self.hub.repositories[repo][name])
        lines = [json.loads(line) for line in body.splitlines()]
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        found = {"commitUrl": f"{self.root}/kernels/{repo}/commit/{revision(files)}",
                 "commitOid": revision(files), "success": True}  # fmt: skip
        if "create_pr=1" in self.path:
            self.hub.proposals.append({"repo": repo, "branch": name, "files": files})
            number = len(self.hub.proposals)
            found["pullRequestUrl"] = f"{self.root}/kernels/{repo}/discussions/{number}"
        else:
            self.hub.repositories[repo][name] = files
        self.answer(200, found)

    def resolve(self, body: bytes, repo: str, name: str, path: str) -> None:
        files = self.hub.files(repo, name)
        if files is None:
            self.refuse(404, "RevisionNotFound")
        elif path not in files:
            self.refuse(404, "EntryNotFound")
        else:
            data = files[path]
            known = {"X-Repo-Commit": revision(files), "ETag": f'"{git_hash(data)}"'}
            self.answer(200, data, **known)

    @property
    def root(self) -> str:
        return f"http://{self.headers['Host']}"


REPO, NAME = "([^/]+/[^/]+)", "([^/]+)"
KERNEL = f"/api/kernels/{REPO}"
ROUTES: list[tuple[str, Any]] = [
    ("POST /api/repos/create", Handler.create),
    ("POST /api/validate-yaml", Handler.validate),
    (f"POST {KERNEL}/branch/{NAME}", Handler.branch),
    (f"GET {KERNEL}", Handler.info),
    (f"GET {KERNEL}/revision/{NAME}", Handler.info),
    (f"GET {KERNEL}/refs", Handler.refs),
    (f"GET {KERNEL}/tree/{NAME}(/.*)?", Handler.tree),
    (f"POST {KERNEL}/preupload/{NAME}", Handler.preupload),
    (f"POST {KERNEL}/commit/{NAME}", Handler.commit),
    (f"POST /kernels/{REPO}.git/info/lfs/objects/batch", Handler.batch),
    ("PUT /blob/(.+)", Handler.blob),
    (f"GET /kernels/{REPO}/resolve/{NAME}/(.+)", Handler.resolve),
    (f"HEAD /kernels/{REPO}/resolve/{NAME}/(.+)", Handler.resolve),
]


@contextmanager
def running() -> Iterator[tuple[Hub, str]]:
    """A Hub, and where it listens."""
    hub = Hub()
    handler = type("OfThisHub", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
