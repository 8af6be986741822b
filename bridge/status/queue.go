package status

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// A Queue is what waits for the server. Its methods are called from any
// goroutine; a sequence number is a Queued's.
type Queue interface {
	// List returns the oldest, at most n of them, and how many there are.
	List(ctx context.Context, n int) (Waiting, error)
	// Show returns the XML of one.
	Show(ctx context.Context, seq uint64) (string, error)
	// Drop gives one up.
	Drop(ctx context.Context, seq uint64) error
	// Retry has one that was set aside tried again; with 0 the session tries now.
	Retry(ctx context.Context, seq uint64) error
}

// Waiting is what waits for the server, the oldest first, or the beginning of it.
type Waiting struct {
	Total int      `json:"total"`
	List  []Queued `json:"list"`
}

// A Queued is one stanza that the server has not acknowledged.
type Queued struct {
	Seq    uint64    `json:"seq"`
	ID     string    `json:"id,omitempty"`
	To     string    `json:"to,omitempty"`
	Kind   string    `json:"kind"` // message, presence or iq
	Lane   string    `json:"lane,omitempty"`
	Since  time.Time `json:"since"`
	Bytes  int       `json:"bytes"`
	State  string    `json:"state"` // waiting, sent (and not acknowledged) or aside
	Reason string    `json:"reason,omitempty"`
}

// maxShown is how much of what waits is told at once.
const maxShown = 10000

func (s *Server) queueRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /queue", func(w http.ResponseWriter, r *http.Request) {
		answerWith(s, w, r, func(ctx context.Context) (Waiting, error) { return s.cfg.Queue.List(ctx, number(r, "n", maxShown)) })
	})
	mux.HandleFunc("GET /queue/{seq}", s.queued(func(ctx context.Context, seq uint64) (any, error) { return s.cfg.Queue.Show(ctx, seq) }))
	mux.HandleFunc("POST /queue/{seq}/drop", s.queued(func(ctx context.Context, seq uint64) (any, error) { return true, s.cfg.Queue.Drop(ctx, seq) }))
	mux.HandleFunc("POST /queue/{seq}/retry", s.queued(func(ctx context.Context, seq uint64) (any, error) { return true, s.cfg.Queue.Retry(ctx, seq) }))
}

// queued does something with one stanza.
func (s *Server) queued(f func(context.Context, uint64) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		seq, err := strconv.ParseUint(r.PathValue("seq"), 10, 64)
		if err != nil {
			http.Error(w, "no number", http.StatusBadRequest)
			return
		}
		answerWith(s, w, r, func(ctx context.Context) (any, error) { return f(ctx, seq) })
	}
}

// Queue asks for the oldest of what waits for the server, at most n.
func (c *Client) Queue(ctx context.Context, n int) (Waiting, error) {
	var q Waiting
	return q, c.ask(ctx, "/queue?n="+strconv.Itoa(n), &q)
}

// QueuedStanza asks for the XML of one.
func (c *Client) QueuedStanza(ctx context.Context, seq uint64) (string, error) {
	var xml string
	return xml, c.ask(ctx, queuePath(seq, ""), &xml)
}

// DropQueued has one given up: it is not sent, and its sender is told.
func (c *Client) DropQueued(ctx context.Context, seq uint64) error {
	return c.do(ctx, http.MethodPost, queuePath(seq, "/drop"), new(bool))
}

// RetryQueued has one that was set aside tried again; with 0 the session tries now.
func (c *Client) RetryQueued(ctx context.Context, seq uint64) error {
	return c.do(ctx, http.MethodPost, queuePath(seq, "/retry"), new(bool))
}

func queuePath(seq uint64, what string) string {
	return "/queue/" + strconv.FormatUint(seq, 10) + what
}
