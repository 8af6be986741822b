package e2e

import (
	_ "embed"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

//go:embed remote.py
var remotePy string

// RemoteOptions says how a person's client behaves.
type RemoteOptions struct {
	Resource   string
	Addr       string // where to connect; empty: the server's address on the LAN
	DirectTLS  bool   // XEP-0368 instead of STARTTLS
	NoApprove  bool   // leave subscription requests unanswered
	NoReceipts bool   // do not answer XEP-0184 requests
	SM         bool   // use XEP-0198
	Carbons    bool   // use XEP-0280
	Avatars    bool   // use XEP-0084
	Reconnect  bool   // come back when the connection is lost
	Debug      bool
}

// A Remote is a person on an XMPP server, with a client that nobody here
// wrote: slixmpp.
type Remote struct {
	*Proc
	JID     string // bare
	FullJID string // bound

	orders int // given so far
}

// An Event is what a remote client saw. Which fields are filled depends on Ev:
// session, session-end, disconnected, auth-failed, connection-failed, message,
// presence, roster (From is the contact, Type its subscription), avatar (ID is
// its SHA-1, empty without one), done (ID is the number of the order, Error why
// it failed) and error.
type Event struct {
	Ev   string `json:"ev"`
	JID  string `json:"jid"`
	From string `json:"from"`
	To   string `json:"to"`
	Type string `json:"type"`
	ID   string `json:"id"`
	XML  string `json:"xml"` // the stanza as received
	Text string `json:"text"`

	Body       string `json:"body"`
	Thread     string `json:"thread"`
	Subject    string `json:"subject"`
	HasSubject bool   `json:"has_subject"`
	Delayed    bool   `json:"delayed"`   // XEP-0203
	Receipt    string `json:"receipt"`   // id that a XEP-0184 receipt is for
	StanzaID   string `json:"stanza_id"` // XEP-0359, the room's or the account's
	Invite     string `json:"invite"`    // room that an invitation is for
	Inviter    string `json:"inviter"`   // who it is from, if the room has passed it on
	Reason     string `json:"reason"`    // of an invitation

	Size int `json:"size"` // of an avatar, in bytes

	Show        string   `json:"show"`
	Status      string   `json:"status"`
	Role        string   `json:"role"` // XEP-0045
	Affiliation string   `json:"affiliation"`
	NewNick     string   `json:"new_nick"`
	Destroyed   bool     `json:"destroyed"` // the room is gone
	Codes       []string `json:"codes"`

	Error     string `json:"error"` // condition of a stanza error
	ErrorType string `json:"error_type"`
}

// Remote starts a client for a user of the server, in the host, and waits
// until it has its session and has sent its presence.
func (h *Host) Remote(s *Server, user string, opt RemoteOptions) *Remote {
	h.tb.Helper()
	r := h.StartRemote(s, user, opt)
	r.AwaitSession()
	return r
}

// StartRemote is Remote without the wait.
func (h *Host) StartRemote(s *Server, user string, opt RemoteOptions) *Remote {
	h.tb.Helper()
	if opt.Addr == "" {
		opt.Addr = s.Addr()
		if opt.DirectTLS {
			opt.Addr = s.DirectTLSAddr()
		}
	}
	addr, err := netip.ParseAddrPort(opt.Addr)
	if err != nil {
		h.tb.Fatalf("e2e: remote %s: %v", user, err)
	}
	jid := s.JID(user)
	full := jid
	if opt.Resource != "" {
		full += "/" + opt.Resource
	}
	p := h.StartSpec(Spec{Name: "remote:" + full, Args: []string{python, "-W", "ignore", h.WriteFile("remote.py", remotePy)}})
	r := &Remote{Proc: p, JID: jid}
	r.send(map[string]any{
		"jid": full, "password": s.opt.Users[user], "ca": s.CAFile, "host": addr.Addr().String(), "port": addr.Port(),
		"direct_tls": opt.DirectTLS, "approve": !opt.NoApprove, "receipts": !opt.NoReceipts, "sm": opt.SM,
		"carbons": opt.Carbons, "avatars": opt.Avatars, "reconnect": opt.Reconnect, "debug": opt.Debug,
	})
	return r
}

func (r *Remote) send(command any) {
	r.tb.Helper()
	b, err := json.Marshal(command)
	if err != nil {
		r.tb.Fatalf("e2e: %s: %v", r.Name, err)
	}
	r.Send("%s", b)
}

// AwaitSession waits for the next session.
func (r *Remote) AwaitSession() {
	r.tb.Helper()
	r.FullJID = r.Await("session", func(e Event) bool { return e.Ev == "session" }).JID
}

// Await waits for the first event that fits and was not had; events before it
// stay to be awaited. what names it in the report.
func (r *Remote) Await(what string, fits func(Event) bool) Event {
	r.tb.Helper()
	return r.AwaitWithin(Patience, what, fits)
}

// AwaitWithin is Await with another limit than [Patience].
func (r *Remote) AwaitWithin(d time.Duration, what string, fits func(Event) bool) Event {
	r.tb.Helper()
	return awaitEvent(r.Proc, d, what, parseEvent, fits)
}

func parseEvent(text string) (e Event, ok bool) {
	ok = json.Unmarshal([]byte(text), &e) == nil
	return e, ok
}

// AwaitMessage waits for a message whose body contains a text, from an address
// that begins with from; its subject and errors do not count.
func (r *Remote) AwaitMessage(from, contains string) Event {
	r.tb.Helper()
	return r.Await(fmt.Sprintf("message %q from %s", contains, from), func(e Event) bool {
		return e.Ev == "message" && e.Type != "error" && strings.HasPrefix(e.From, from) && e.Body != "" && strings.Contains(e.Body, contains)
	})
}

// AwaitError waits for an error about a stanza, by the stanza's id.
func (r *Remote) AwaitError(id string) Event {
	r.tb.Helper()
	return r.Await("error for "+id, func(e Event) bool { return e.Type == "error" && e.ID == id })
}

// AwaitReceipt waits for the receipt of a message, by the message's id.
func (r *Remote) AwaitReceipt(id string) Event {
	r.tb.Helper()
	return r.Await("receipt for "+id, func(e Event) bool { return e.Ev == "message" && e.Receipt == id })
}

// AwaitPresence waits for presence of that type ("" is available) from an
// address that begins with from.
func (r *Remote) AwaitPresence(from, kind string) Event {
	r.tb.Helper()
	return r.Await(fmt.Sprintf("presence %q from %s", kind, from), func(e Event) bool {
		return e.Ev == "presence" && strings.HasPrefix(e.From, from) && e.Type == kind
	})
}

// AwaitStatus waits for available presence with that show and status from an
// address that begins with from.
func (r *Remote) AwaitStatus(from, show, status string) Event {
	r.tb.Helper()
	return r.Await(fmt.Sprintf("presence %s/%q from %s", show, status, from), func(e Event) bool {
		return e.Ev == "presence" && strings.HasPrefix(e.From, from) && e.Type == "" && e.Show == show && e.Status == status
	})
}

// Events returns all events so far, in their order, awaited or not.
func (r *Remote) Events() []Event {
	var events []Event
	for _, text := range r.Lines() {
		if e, ok := parseEvent(text); ok {
			events = append(events, e)
		}
	}
	return events
}

// Messages returns all messages with a body so far, errors left out.
func (r *Remote) Messages() []Event {
	var messages []Event
	for _, e := range r.Events() {
		if e.Ev == "message" && e.Type != "error" && e.Body != "" {
			messages = append(messages, e)
		}
	}
	return messages
}

// A Message is what a remote client sends.
type Message struct {
	To, Body       string
	ID             string // empty: none
	Type           string // empty: chat
	Thread         string
	RequestReceipt bool   // XEP-0184
	Payload        string // XML added as it is
}

// Msg sends a chat message.
func (r *Remote) Msg(to, body string) { r.tb.Helper(); r.SendMessage(Message{To: to, Body: body}) }

// SendMessage sends a message.
func (r *Remote) SendMessage(m Message) {
	r.tb.Helper()
	if m.Type == "" {
		m.Type = "chat"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<message to='%s' type='%s'", escape(m.To), escape(m.Type))
	if m.ID != "" {
		fmt.Fprintf(&b, " id='%s'", escape(m.ID))
	}
	fmt.Fprintf(&b, "><body>%s</body>", escape(m.Body))
	if m.Thread != "" {
		fmt.Fprintf(&b, "<thread>%s</thread>", escape(m.Thread))
	}
	if m.RequestReceipt {
		b.WriteString("<request xmlns='urn:xmpp:receipts'/>")
	}
	r.Raw(b.String() + m.Payload + "</message>")
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder takes everything
	return b.String()
}

// Raw sends XML as it is.
func (r *Remote) Raw(xml string) { r.tb.Helper(); r.send(map[string]string{"do": "raw", "xml": xml}) }

// Status sends presence: show is "", away, chat, dnd or xa.
func (r *Remote) Status(show, status string) {
	r.tb.Helper()
	r.send(map[string]string{"do": "presence", "show": show, "status": status})
}

// PresenceTo sends directed presence of a type: subscribe, unavailable ...
func (r *Remote) PresenceTo(to, kind string) {
	r.tb.Helper()
	r.send(map[string]string{"do": "presence", "to": to, "type": kind})
}

// Subscribe asks to see someone's presence.
func (r *Remote) Subscribe(to string) { r.tb.Helper(); r.PresenceTo(to, "subscribe") }

// SetAvatar publishes a picture from a file; without one: none.
func (r *Remote) SetAvatar(file string) {
	r.tb.Helper()
	r.send(map[string]string{"do": "avatar", "file": file})
}

// AwaitAvatar waits until somebody has another picture, and returns its SHA-1
// in hexadecimal, which is empty for none, and its size.
func (r *Remote) AwaitAvatar(d time.Duration, from string) (sha1 string, size int) {
	r.tb.Helper()
	e := r.AwaitWithin(d, "avatar of "+from, func(e Event) bool { return e.Ev == "avatar" && e.From == from })
	return e.ID, e.Size
}

// Drop breaks the TCP connection without any farewell.
func (r *Remote) Drop() { r.tb.Helper(); r.send(map[string]string{"do": "drop"}) }

// Quit ends the session in order and waits until the program has ended.
func (r *Remote) Quit() {
	r.tb.Helper()
	r.send(map[string]string{"do": "quit"})
	r.Wait()
}
