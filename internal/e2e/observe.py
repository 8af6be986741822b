"""observe.py TYPE WHERE: watch a DNS-SD service type with python-zeroconf.

WHERE is an IPv4 address of the host, or the name of an interface for IPv6.

Prints "ready", then one JSON object a line for each event. It ends with its
standard input.
"""
import json
import socket
import sys

from zeroconf import IPVersion, ServiceBrowser, Zeroconf

RESOLVE_MS = 3000


def say(line):
    """Prints a line in one write: zeroconf tells of services in threads of its own."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def show(event, kind, name, info):
    seen = {"event": event, "name": name[: -len(kind) - 1]}
    if info is not None:
        txt = {}
        for key, value in info.properties.items():
            text = key.decode("utf-8", "backslashreplace") if isinstance(key, bytes) else key
            txt[text] = (value or b"").decode("utf-8", "backslashreplace")
        seen.update(host=info.server.rstrip("."), port=info.port, addrs=info.parsed_addresses(),
                    txt=txt, has_txt=bool(txt))
    say(json.dumps(seen))


class Listener:
    def add_service(self, zc, kind, name):
        show("add", kind, name, zc.get_service_info(kind, name, RESOLVE_MS))

    def update_service(self, zc, kind, name):
        show("update", kind, name, zc.get_service_info(kind, name, RESOLVE_MS))

    def remove_service(self, zc, kind, name):
        show("remove", kind, name, None)


def main():
    kind, where = sys.argv[1:3]
    if where[0].isdigit():
        zc = Zeroconf(interfaces=[where], ip_version=IPVersion.V4Only)
    else:
        zc = Zeroconf(interfaces=[socket.if_nametoindex(where)], ip_version=IPVersion.V6Only)
    ServiceBrowser(zc, kind, Listener())
    say("ready")
    sys.stdin.read()
    zc.close()


main()
