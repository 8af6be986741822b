package ends

import (
	"context"
	"encoding/xml"
	"fmt"
	"strings"

	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stanza"

	gate "meshgate/internal/stanza"
)

// archivePage is how many messages are asked for at a time.
const archivePage = 250

// archiveQuery asks for messages, behind one of them.
// XEP-0313 §4, XEP-0059 §2.
const archiveQuery = `<query xmlns='` + gate.NSMAM + `'>` +
	`<x xmlns='jabber:x:data' type='submit'>` +
	`<field var='FORM_TYPE' type='hidden'><value>` + gate.NSMAM + `</value></field>%s</x>` +
	`<set xmlns='` + gate.NSRSM + `'><max>%d</max>%s</set></query>`

// Archive asks for all messages with an address in the client's own archive.
// They come to the handler: see Archived.
func (c *Client) Archive(ctx context.Context, with jid.JID) error {
	return c.archive(ctx, jid.JID{}, "<field var='with'><value>"+gate.Escape(with.String())+"</value></field>")
}

// RoomArchive asks for all messages in the archive of a MUC, which come to the handler,
// too.
func (c *Client) RoomArchive(ctx context.Context, room jid.JID) error {
	return c.archive(ctx, room, "")
}

func (c *Client) archive(ctx context.Context, of jid.JID, which string) error {
	after := ""
	for {
		text := fmt.Sprintf(archiveQuery, which, archivePage, after)
		resp, err := c.session.SendIQElement(ctx, xml.NewDecoder(strings.NewReader(text)), stanza.IQ{To: of, Type: stanza.SetIQ})
		if err != nil {
			return fmt.Errorf("ends: archive: %w", err)
		}
		fin, err := readIQ(resp)
		closed := resp.Close()
		if err != nil || closed != nil {
			return fmt.Errorf("ends: archive: %w %v", err, closed)
		}
		last := fin.Child(gate.NSRSM, "set").Child(gate.NSRSM, "last").Text()
		if fin.Attr("complete") == "true" || last == "" {
			return nil
		}
		after = "<after>" + gate.Escape(last) + "</after>"
	}
}

// readIQ reads a result, and returns its <fin/>.
func readIQ(r xml.TokenReader) (*gate.Element, error) {
	t, err := r.Token()
	if err != nil {
		return nil, err
	}
	start, ok := t.(xml.StartElement)
	if !ok {
		return nil, fmt.Errorf("%T", t)
	}
	iq, err := gate.Decode(r, start, gate.Limits{})
	if err != nil {
		return nil, err
	}
	if iq.Attr("type") != "result" {
		return nil, fmt.Errorf("%s", iq.Attr("type"))
	}
	return iq.Child(gate.NSMAM, "fin"), nil
}

// Archived is the message that a stanza brings out of an archive; nil: none.
func Archived(st *gate.Element) *gate.Element {
	return st.Child(gate.NSMAM, "result").Child(gate.NSFwd, "forwarded").Child(gate.NSClient, "message")
}
