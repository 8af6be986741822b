package status

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

func (s *Server) forget(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("name")
	if name == "" || s.cfg.Forget == nil {
		http.Error(w, "no name", http.StatusBadRequest)
		return
	}
	known, err := s.cfg.Forget(name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	s.answer(w, known)
}

// Forget has the TLS key of a peer forgotten. known is false if there is none
// under that name.
func (c *Client) Forget(ctx context.Context, name string) (known bool, err error) {
	err = c.do(ctx, http.MethodPost, "/forget?name="+url.QueryEscape(name), &known)
	if err != nil {
		return false, fmt.Errorf("forget %q: %w", name, err)
	}
	return known, nil
}
