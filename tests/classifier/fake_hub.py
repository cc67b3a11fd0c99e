"""A model hub on loopback: what huggingface_hub's own client asks of it, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FakeHub:
    """Repositories in memory, behind the routes of the hub's API."""

    def __init__(self):
        self.files, self.blobs, self.asked, self.private = {}, {}, [], {}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do(self):
                length = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(length)
                path = self.path.partition("?")[0]
                hub.asked.append((self.command, path, self.headers.get("authorization")))
                status, headers, content = hub.answer(self.command, path, body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_HEAD = do

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def commit(self, repo):
        content = json.dumps(
            {name: hashlib.sha256(data).hexdigest() for name, data in self.files[repo].items()}
        )
        return hashlib.sha1(content.encode()).hexdigest()

    def answer(self, method, path, body):
        parts = path.strip("/").split("/")
        if path == "/api/repos/create":
            asked = json.loads(body)
            repo = f"{asked.get('organization') or 'owner'}/{asked['name']}"
            self.files.setdefault(repo, {})
            self.private[repo] = asked.get("private") or asked.get("visibility") == "private"
            return _json({"url": f"{self.url}/{repo}"})
        if path == "/api/validate-yaml":
            return _json({"errors": [], "warnings": []})
        if parts[0] == "blobs":
            self.blobs[parts[1]] = body
            return _json({})
        if parts[:2] == ["api", "models"] and len(parts) > 3:
            repo, action = "/".join(parts[2:4]), parts[4:5]
            if repo not in self.files:
                return 404, {"X-Error-Code": "RepoNotFound"}, b""
            if action == ["preupload"]:
                asked = [one["path"] for one in json.loads(body)["files"]]
                modes = {path: "lfs" if path.endswith(".safetensors") else "regular" for path in asked}
                files = [{"path": p, "uploadMode": m, "shouldIgnore": False} for p, m in modes.items()]
                return _json({"files": files})
            if action == ["commit"]:
                return self._commit(repo, body)
            if action == ["tree"]:
                files = self.files[repo].items()
                return _json(
                    [
                        {"type": "file", "path": p, "size": len(d), "oid": hashlib.sha1(d).hexdigest()}
                        for p, d in files
                    ]
                )
            siblings = [{"rfilename": name} for name in self.files[repo]]
            return _json({"id": repo, "sha": self.commit(repo), "siblings": siblings, "private": False})
        if parts[-3:] == ["info", "lfs", "objects"] or path.endswith("/objects/batch"):
            objects = [
                {**one, "actions": {"upload": {"href": f"{self.url}/blobs/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]
            return _json({"transfer": "basic", "objects": objects})
        if len(parts) > 4 and parts[2] == "resolve":
            repo, name = "/".join(parts[:2]), "/".join(parts[4:])
            data = self.files.get(repo, {}).get(name)
            if data is None:
                return 404, {"X-Error-Code": "EntryNotFound"}, b""
            headers = {
                "ETag": f'"{hashlib.sha256(data).hexdigest()}"',
                "X-Repo-Commit": self.commit(repo),
                "Content-Length": str(len(data)),
            }
            return 200, headers, data
        return 404, {}, json.dumps({"error": f"{method} {path}"}).encode()

    def _commit(self, repo, body):
        for line in body.decode().splitlines():
            one = json.loads(line)
            value = one["value"]
            if one["key"] == "file":
                self.files[repo][value["path"]] = base64.b64decode(value["content"])
            elif one["key"] == "lfsFile":
                self.files[repo][value["path"]] = self.blobs[value["oid"]]
        sha = self.commit(repo)
        return _json({"commitUrl": f"{self.url}/{repo}/commit/{sha}", "commitOid": sha, "success": True})


def _json(value):
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()
