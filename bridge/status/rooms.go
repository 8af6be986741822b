package status

import (
	"context"
	"net/http"
)

// A Room is a room of the LAN and one of the network that are one. No name in
// it is safe for a terminal.
type Room struct {
	Name      string   `json:"name"` // on the LAN
	MUC       string   `json:"muc"`  // its address on the network
	Group     string   `json:"group,omitempty"`
	State     string   `json:"state"`             // in words
	Carrier   string   `json:"carrier,omitempty"` // another gateway that passes the lines on; "": this one
	Members   []string `json:"members,omitempty"` // on the LAN, beside gateways
	Occupants []string `json:"occupants,omitempty"`
	More      int      `json:"more,omitempty"` // of those on the network, who are not named
}

func (s *Server) rooms(w http.ResponseWriter, _ *http.Request) {
	var list []Room
	if s.cfg.Rooms != nil {
		list = s.cfg.Rooms()
	}
	s.answer(w, list)
}

// Rooms asks for the rooms, in the order of the configuration.
func (c *Client) Rooms(ctx context.Context) ([]Room, error) {
	var list []Room
	return list, c.ask(ctx, "/rooms", &list)
}
