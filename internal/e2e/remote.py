"""remote.py: a person on an XMPP server, driven by JSON lines.

The client is slixmpp, untouched; this file is only its user. The first line of
standard input says who and where, each later one is a command; each line of
standard output is an event. See remote.go for the keys.
"""
import asyncio
import hashlib
import json
import sys

import slixmpp
from slixmpp.xmlstream import ET
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

BODY = "{jabber:client}body"
PLUGINS = ("xep_0030", "xep_0045", "xep_0085", "xep_0199", "xep_0115", "xep_0249")
MUC_USER = "{http://jabber.org/protocol/muc#user}"


def emit(ev, **fields):
    print(json.dumps(dict(ev=ev, **fields)), flush=True)


class Remote(slixmpp.ClientXMPP):
    def __init__(self, conf):
        super().__init__(conf["jid"], conf["password"])
        self.conf = conf
        self.leaving = False
        self.ca_certs = conf["ca"]
        # slixmpp's own approval sends the last presence once more, to whoever has
        # asked: it writes the address into the very stanza, which may be waiting
        # to be sent to all.
        self.auto_authorize = None
        self.answer_receipts = conf["receipts"]
        for plugin in PLUGINS:
            self.register_plugin(plugin)
        if conf["sm"]:
            self.register_plugin("xep_0198")
        if conf["carbons"]:
            self.register_plugin("xep_0280")
        if conf["avatars"]:
            self.register_plugin("xep_0084")
            self.add_event_handler("avatar_metadata_publish", self.seen_avatar)
        for name in ("session_start", "session_end", "disconnected", "connection_failed"):
            self.add_event_handler(name, getattr(self, "on_" + name))
        self.add_event_handler("failed_auth", lambda _: emit("auth-failed"))
        for kind in ("message", "presence"):
            match = MatchXPath("{jabber:client}" + kind)
            self.register_handler(Callback("seen " + kind, match, getattr(self, "seen_" + kind)))
        self.register_handler(Callback("seen roster", MatchXPath("{jabber:client}iq/{jabber:iq:roster}query"), self.seen_roster))

    async def on_session_start(self, _):
        if self.conf["carbons"]:
            await self["xep_0280"].enable()
        await self.get_roster()
        self.send_presence()
        emit("session", jid=str(self.boundjid))

    def on_session_end(self, _):
        emit("session-end")

    def on_disconnected(self, _):
        emit("disconnected")
        if self.leaving:
            asyncio.get_event_loop().stop()
        elif self.conf["reconnect"]:
            self.go()

    def on_connection_failed(self, why):
        emit("connection-failed", text=str(why))
        self._connect_loop_wait = 0  # or it doubles, and a server that starts slowly is found half a minute late

    def go(self):
        tls = self.conf["direct_tls"]
        self.connect((self.conf["host"], self.conf["port"]), use_ssl=tls, force_starttls=not tls, disable_starttls=tls)

    def common(self, stanza):
        xml = stanza.xml
        error = xml.find("{jabber:client}error")
        fields = {
            "from": xml.get("from", ""), "to": xml.get("to", ""), "type": xml.get("type", ""),
            "id": xml.get("id", ""), "xml": str(stanza),
        }
        if error is not None:
            kinds = [child.tag.split("}")[1] for child in error if not child.tag.endswith("}text")]
            fields.update(error=kinds[0] if kinds else "", error_type=error.get("type", ""))
        return fields

    def seen_message(self, stanza):
        xml = stanza.xml
        text = lambda tag: xml.findtext("{jabber:client}" + tag) or ""
        received = xml.find("{urn:xmpp:receipts}received")
        fields = self.common(stanza)
        fields.update(body=text("body"), thread=text("thread"), subject=text("subject"),
                      has_subject=xml.find("{jabber:client}subject") is not None,
                      delayed=xml.find("{urn:xmpp:delay}delay") is not None)
        if received is not None:
            fields["receipt"] = received.get("id", "")
        stanza_id = xml.find("{urn:xmpp:sid:0}stanza-id")
        if stanza_id is not None:
            fields["stanza_id"] = stanza_id.get("id", "")
        fields.update(invitation(xml))
        emit("message", **fields)
        asked = xml.find("{urn:xmpp:receipts}request") is not None
        if asked and self.answer_receipts and xml.get("type") not in ("groupchat", "error"):
            self.send_raw("<message to=%s id=%s><received xmlns='urn:xmpp:receipts' id=%s/></message>"
                          % tuple(quote(v) for v in (xml.get("from", ""), "receipt-" + xml.get("id", ""), xml.get("id", ""))))

    def seen_presence(self, stanza):
        xml = stanza.xml
        fields = self.common(stanza)
        fields.update(show=xml.findtext("{jabber:client}show") or "", status=xml.findtext("{jabber:client}status") or "")
        item = xml.find(MUC_USER + "x/" + MUC_USER + "item")
        if item is not None:
            fields.update(role=item.get("role", ""), affiliation=item.get("affiliation", ""),
                          jid=item.get("jid", ""), new_nick=item.get("nick", ""))
        fields["destroyed"] = xml.find(MUC_USER + "x/" + MUC_USER + "destroy") is not None
        if self.conf["approve"] and xml.get("type") == "subscribe":
            for kind in ("subscribed", "subscribe"):
                self.send_presence(pto=xml.get("from"), ptype=kind)
        fields["codes"] = [s.get("code") for s in xml.findall(MUC_USER + "x/" + MUC_USER + "status")]
        emit("presence", **fields)

    def seen_roster(self, stanza):
        for item in stanza.xml.iter("{jabber:iq:roster}item"):
            emit("roster", **{"from": item.get("jid", ""), "type": item.get("subscription", ""), "id": stanza.xml.get("id", "")})

    async def seen_avatar(self, msg):
        metadata = msg["pubsub_event"]["items"]["item"]["avatar_metadata"]
        infos = [info["id"] for info in metadata["items"]]
        data = b""
        if infos:
            answer = await self["xep_0084"].retrieve_avatar(msg["from"], infos[0])
            data = answer["pubsub"]["items"]["item"]["avatar_data"]["value"]
        emit("avatar", **{"from": str(msg["from"]), "id": hashlib.sha1(data).hexdigest() if data else "", "size": len(data)})

    async def set_avatar(self, file):
        avatars = self["xep_0084"]
        if not file:
            return await avatars.stop()
        with open(file, "rb") as f:
            data = f.read()
        kind = "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
        await avatars.publish_avatar(data)
        await avatars.publish_avatar_metadata({"id": avatars.generate_id(data), "type": kind, "bytes": len(data)})

    async def order(self, c):
        """Does what occupants and owners of a room do, and says when the room has done it."""
        muc, room, what, error = self["xep_0045"], slixmpp.JID(c["room"]), c["what"], ""
        try:
            if what == "configure":
                form = self["xep_0004"].make_form(ftype="submit")
                form.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/muc#roomconfig")
                for var, value in c["fields"].items():
                    form.add_field(var=var, value=value)
                await muc.set_room_config(room, form)
            elif what == "kick":
                await muc.set_role(room, c["nick"], "none", reason=c["reason"])
            elif what == "affiliate":
                await muc.set_affiliation(room, c["affiliation"], jid=slixmpp.JID(c["jid"]), reason=c["reason"])
            elif what == "destroy":
                await muc.destroy(room, reason=c["reason"])
            elif what == "subject":
                muc.set_subject(room, c["text"])
            elif what == "invite":
                muc.invite(room, slixmpp.JID(c["jid"]), reason=c["reason"])
            elif what == "invite directly":
                self["xep_0249"].send_invitation(slixmpp.JID(c["jid"]), room, reason=c["reason"])
            else:
                error = "unknown order " + what
        except slixmpp.exceptions.IqError as err:
            error = err.condition
        except slixmpp.exceptions.IqTimeout:
            error = "no answer"
        emit("done", id=str(c["id"]), error=error)

    def command(self, c):
        do = c["do"]
        if do == "raw":
            self.send_raw(c["xml"])
        elif do == "presence":
            self.send_presence(pshow=c.get("show") or None, pstatus=c.get("status") or None,
                               pto=c.get("to") or None, ptype=c.get("type") or None)
        elif do == "avatar":
            asyncio.ensure_future(self.set_avatar(c["file"]))
        elif do == "order":
            asyncio.ensure_future(self.order(c))
        elif do == "drop":
            self.transport.abort()
        elif do == "quit":
            self.leaving = True
            self.disconnect(wait=2.0)
        else:
            emit("error", text="unknown command " + do)


def invitation(xml):
    """The room, who invites and why: XEP-0249, or XEP-0045 7.8.2, where the room passes it on."""
    direct = xml.find("{jabber:x:conference}x")
    mediated = xml.find(MUC_USER + "x/" + MUC_USER + "invite")
    if mediated is not None:
        return {"invite": xml.get("from", ""), "inviter": mediated.get("from", ""),
                "reason": mediated.findtext(MUC_USER + "reason") or ""}
    if direct is not None:
        return {"invite": direct.get("jid", ""), "reason": direct.get("reason", "")}
    return {}


def quote(value):
    return "'" + value.replace("&", "&amp;").replace("<", "&lt;").replace("'", "&apos;") + "'"


async def read_commands(client, reader):
    while line := await reader.readline():
        client.command(json.loads(line))


async def main_input():
    reader = asyncio.StreamReader(limit=4 << 20)
    await asyncio.get_event_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def main():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    reader = loop.run_until_complete(main_input())
    conf = json.loads(loop.run_until_complete(reader.readline()))
    if conf["debug"]:
        import logging
        logging.basicConfig(level=logging.DEBUG)
    client = Remote(conf)
    client.go()
    commands = loop.create_task(read_commands(client, reader))
    loop.run_forever()
    commands.cancel()


main()
