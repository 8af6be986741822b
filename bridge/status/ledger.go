package status

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// A Ledger says what has become of the messages: since the gateway has started,
// and of those that are remembered on the disk.
type Ledger struct {
	Balanced    bool    `json:"balanced"` // every message since the start is accounted for
	FromLAN     Account `json:"from_lan"`
	FromNetwork Account `json:"from_network"`
	Disk        struct {
		FromLAN     Account `json:"from_lan"`
		FromNetwork Account `json:"from_network"`
	} `json:"disk"`
}

// An Account is one direction: Entered and Carried are as many as Pending and
// all that Ended.
type Account struct {
	Entered uint64            `json:"entered"` // on the disk: the entries
	Carried uint64            `json:"carried"` // taken over from before the start
	Pending uint64            `json:"pending"`
	Ended   map[string]uint64 `json:"ended"` // by how; what never occurred is left out
}

// An Entry is what the ledger knows of one message. Its words are not in it.
type Entry struct {
	ID      string     `json:"id,omitempty"` // of the stanza on the network
	From    string     `json:"from"`         // "lan" or "network"
	Peer    string     `json:"peer,omitempty"`
	Contact string     `json:"contact,omitempty"` // none: the gateway itself
	Came    time.Time  `json:"came"`
	End     string     `json:"end"` // "pending", or how it ended
	Ended   *time.Time `json:"ended,omitempty"`
	Passed  *time.Time `json:"delivered,omitempty"` // when it was delivered before it came back
	Why     string     `json:"why,omitempty"`
	Queue   string     `json:"queue,omitempty"`  // pending: where it waits for the server, one of a Queued's states
	Reason  string     `json:"reason,omitempty"` // why it is set aside
}

// MaxEntries is how many entries are told at once.
const MaxEntries = 1000

func (s *Server) ledger(w http.ResponseWriter, r *http.Request) {
	answerWith(s, w, r, s.cfg.Ledger)
}

func (s *Server) trace(w http.ResponseWriter, r *http.Request) {
	of, n := r.URL.Query().Get("of"), number(r, "n", MaxEntries)
	answerWith(s, w, r, func(ctx context.Context) ([]Entry, error) { return s.cfg.Trace(ctx, of, n) })
}

// number is a parameter between 1 and limit.
func number(r *http.Request, name string, limit int) int {
	n, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil || n < 1 || n > limit {
		return limit
	}
	return n
}

// answerWith answers with what f says, or why not.
func answerWith[T any](s *Server, w http.ResponseWriter, r *http.Request, f func(context.Context) (T, error)) {
	ctx, cancel := context.WithTimeout(r.Context(), askPatience)
	defer cancel()
	v, err := f(ctx)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	s.answer(w, v)
}

// Ledger asks what has become of the messages.
func (c *Client) Ledger(ctx context.Context) (Ledger, error) {
	var l Ledger
	return l, c.ask(ctx, "/ledger", &l)
}

// Trace asks for the last n messages with that id, or of that peer or contact,
// or with "" of all, the oldest first.
func (c *Client) Trace(ctx context.Context, of string, n int) ([]Entry, error) {
	var list []Entry
	return list, c.ask(ctx, "/trace?n="+strconv.Itoa(n)+"&of="+url.QueryEscape(of), &list)
}
