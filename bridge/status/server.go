package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"golang.org/x/net/netutil"
)

const (
	maxClients   = 32 // connections at once; more wait
	maxHeader    = 8 << 10
	readPatience = 5 * time.Second  // for a request
	writeLimit   = 10 * time.Second // for one answer, or one line of a stream
	askPatience  = 5 * time.Second  // for the parts to say how they are
	stopPatience = time.Second
	// surveyPatience is how long the XMPP server may take; clients wait longer.
	surveyPatience = 12 * time.Second
	followEvery    = 250 * time.Millisecond // how often a follower's news are looked for
	socketMode     = 0o660
	dialPatience   = time.Second // is the owner of an old socket alive?
)

// A Report is how the gateway is doing.
type Report struct {
	Version string         `json:"version"`
	PID     int            `json:"pid"`
	Started time.Time      `json:"started"`
	LAN     string         `json:"lan"`               // in words
	Server  string         `json:"server"`            // in words
	Streams string         `json:"streams,omitempty"` // in words; "": there are to be none
	Online  bool           `json:"online"`            // there is a session with the server
	Parts   map[string]any `json:"parts"`             // counters by part and name
}

// A Config says where the server is and whom it asks.
type Config struct {
	Path   string // of the socket; "": none, Run just waits
	Health func(context.Context) error
	Report func() Report
	Peers  func(context.Context) ([]Peer, error)
	// Survey asks the XMPP server what it offers, and returns what is JSON. It
	// is called once at a time.
	Survey func(context.Context) (any, error)
	// Forget forgets the TLS key of a peer; nil: nothing can be forgotten.
	Forget func(name string) (known bool, err error)
	Ledger func(context.Context) (Ledger, error)
	// Trace returns the last n messages with that id, or of that peer or contact, or with "" of all.
	Trace func(ctx context.Context, of string, n int) ([]Entry, error)
	Queue Queue
	Rooms func() []Room // nil: there are none
	Log   *slog.Logger  // nil: none
}

// A Server answers on a unix socket.
type Server struct {
	cfg       Config
	log       *slog.Logger
	surveying chan struct{} // a token: one survey at a time
}

// New makes a server that does nothing before Run.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg, log: cfg.Log, surveying: make(chan struct{}, 1)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// Run serves until ctx ends and returns nil. Without a socket the gateway
// goes on: what is wrong is a warning.
func (s *Server) Run(ctx context.Context) error {
	if s.cfg.Path == "" {
		<-ctx.Done()
		return nil
	}
	ln, err := listen(s.cfg.Path)
	if err != nil {
		s.log.Warn("no control socket: meshgate peers will not find this gateway", "path", s.cfg.Path, "err", err)
		<-ctx.Done()
		return nil
	}
	h := &http.Server{
		Handler: s.handler(), ReadTimeout: readPatience, IdleTimeout: readPatience, MaxHeaderBytes: maxHeader,
		ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx }, // ends the followers too
	}
	served := make(chan error, 1)
	go func() { served <- h.Serve(netutil.LimitListener(ln, maxClients)) }()
	select {
	case err = <-served:
		s.log.Warn("control socket failed", "err", err)
		<-ctx.Done()
		return nil
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
	defer cancel()
	if h.Shutdown(stop) != nil {
		h.Close()
	}
	<-served
	return nil
}

// listen opens the socket. One that a dead process has left is replaced, a
// living one's is not.
func listen(path string) (net.Listener, error) {
	ln, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EADDRINUSE) {
		if err := removeStale(path); err != nil {
			return nil, err
		}
		ln, err = net.Listen("unix", path)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

func removeStale(path string) error {
	switch fi, err := os.Lstat(path); {
	case err != nil:
		return err
	case fi.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("status: %s is there and no socket", path)
	}
	c, err := net.DialTimeout("unix", path, dialPatience)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("status: %s belongs to a gateway that runs", path)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return err
	}
	return os.Remove(path)
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { s.answer(w, s.cfg.Report()) })
	mux.HandleFunc("GET /peers", s.peers)
	mux.HandleFunc("GET /survey", s.survey)
	mux.HandleFunc("GET /ledger", s.ledger)
	mux.HandleFunc("GET /trace", s.trace)
	mux.HandleFunc("GET /rooms", s.rooms)
	s.queueRoutes(mux)
	mux.HandleFunc("POST /forget", s.forget)
	return mux
}

func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), askPatience)
	defer cancel()
	if err := s.cfg.Health(ctx); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (s *Server) survey(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), surveyPatience)
	defer cancel()
	select {
	case s.surveying <- struct{}{}:
		defer func() { <-s.surveying }()
	case <-ctx.Done():
		http.Error(w, "others are asking", http.StatusServiceUnavailable)
		return
	}
	found, err := s.cfg.Survey(ctx)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	s.answer(w, found)
}

func (s *Server) list(ctx context.Context) ([]Peer, error) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	return s.cfg.Peers(ctx)
}

func (s *Server) peers(w http.ResponseWriter, r *http.Request) {
	list, err := s.list(r.Context())
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	case r.URL.Query().Has("follow"):
		s.follow(w, r, list)
	case list == nil:
		s.answer(w, []Peer{})
	default:
		s.answer(w, list)
	}
}

func (s *Server) answer(w http.ResponseWriter, v any) {
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeLimit))
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		s.log.Debug("answer not written", "err", err)
	}
}

// follow writes the changes to one who listens, until that one or we end.
func (s *Server) follow(w http.ResponseWriter, r *http.Request, list []Peer) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	rc := http.NewResponseController(w)
	known, lines := Roster{}, json.NewEncoder(w)
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for first := true; ; first = false {
		if changes := known.Update(list); first || len(changes) > 0 {
			rc.SetWriteDeadline(time.Now().Add(writeLimit))
			if changes == nil {
				changes = []Change{}
			}
			if lines.Encode(changes) != nil || rc.Flush() != nil {
				return
			}
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
		var err error
		if list, err = s.list(r.Context()); err != nil {
			return
		}
	}
}
