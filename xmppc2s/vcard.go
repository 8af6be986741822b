package xmppc2s

import (
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"

	"meshgate/internal/stanza"
)

// base64Line is how long RFC 2045 §6.8 lets a line of base64 be.
const base64Line = 76

// photoOf is the picture in a vCard; nil: none.
//
// "any whitespace characters … MUST be ignored". XEP-0153 §4.3
func photoOf(vcard *stanza.Element) []byte {
	return decode64(vcard.Child(stanza.NSVCard, "PHOTO").Child(stanza.NSVCard, "BINVAL").Text())
}

// withPhoto is a vCard with another picture, or none, and otherwise the same.
func withPhoto(vcard *stanza.Element, mime string, data []byte) *stanza.Element {
	out := stanza.New(stanza.NSVCard, "vCard")
	if vcard != nil {
		out.Attrs = vcard.Attrs
		for _, n := range vcard.Nodes {
			if !n.Element.Is(stanza.NSVCard, "PHOTO") {
				out.Nodes = append(out.Nodes, n)
			}
		}
	}
	if len(data) > 0 {
		photo := stanza.New(stanza.NSVCard, "PHOTO", stanza.New(stanza.NSVCard, "TYPE", stanza.Text(mime)),
			stanza.New(stanza.NSVCard, "BINVAL", stanza.Text(lines(base64.StdEncoding.EncodeToString(data)))))
		out.Nodes = append(out.Nodes, stanza.Node{Element: photo})
	}
	return out
}

func lines(s string) string {
	var b strings.Builder
	for len(s) > base64Line {
		b.WriteString(s[:base64Line] + "\n")
		s = s[base64Line:]
	}
	return b.String() + s
}

// itemsRequest asks a node for one item, or for the last one. XEP-0060 §6.5
func itemsRequest(node, id string) *stanza.Element {
	items := stanza.New(stanza.NSPubSub, "items", stanza.Attr{Name: "node", Value: node}, stanza.Attr{Name: "max_items", Value: "1"})
	if id != "" {
		items = stanza.New(stanza.NSPubSub, "items", stanza.Attr{Name: "node", Value: node},
			stanza.New(stanza.NSPubSub, "item", stanza.Attr{Name: "id", Value: id}))
	}
	return stanza.New(stanza.NSPubSub, "pubsub", items)
}

// itemOf is the first item that an answer brings of a node, or nil.
func itemOf(iq *stanza.Element, node string) *stanza.Element {
	items := iq.Child(stanza.NSPubSub, "pubsub").Child(stanza.NSPubSub, "items")
	if items.Attr("node") != node {
		return nil
	}
	return items.Child(stanza.NSPubSub, "item")
}

// publication puts an item into a node of our own. XEP-0060 §7.1
func publication(node, id string, payload *stanza.Element) *stanza.Element {
	return stanza.New(stanza.NSPubSub, "pubsub", stanza.New(stanza.NSPubSub, "publish", stanza.Attr{Name: "node", Value: node},
		stanza.New(stanza.NSPubSub, "item", stanza.Attr{Name: "id", Value: id}, payload)))
}

// avatarData is the payload of the data node. XEP-0084 §4.1
func avatarData(data []byte) *stanza.Element {
	return stanza.New(stanza.NSAvData, "data", stanza.Text(base64.StdEncoding.EncodeToString(data)))
}

// avatarMetadata is the payload of the metadata node. Without a picture it is
// empty: "to … disable the publication of avatars". XEP-0084 §4.2
func avatarMetadata(p ownPicture) *stanza.Element {
	if p.hash == "" {
		return stanza.New(stanza.NSAvMeta, "metadata")
	}
	return stanza.New(stanza.NSAvMeta, "metadata", stanza.New(stanza.NSAvMeta, "info",
		stanza.Attr{Name: "bytes", Value: strconv.Itoa(len(p.data))}, stanza.Attr{Name: "id", Value: p.hash},
		stanza.Attr{Name: "type", Value: p.mime},
		stanza.Attr{Name: "width", Value: strconv.Itoa(p.width)}, stanza.Attr{Name: "height", Value: strconv.Itoa(p.height)}))
}

// decode64 reads base64 with anything blank in it; nil: it is none.
func decode64(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil || len(b) == 0 {
		return nil
	}
	return b
}

func isSHA1(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 20
}
