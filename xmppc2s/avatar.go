package xmppc2s

// An Avatar is a picture of a person. It is not changed once it is shared.
type Avatar struct {
	Data []byte
	Type string // "image/png", "image/jpeg", "image/gif"
}

// SetAvatar sets the account's own picture, which is made to fit; nil: none.
// Only the newest counts. Until the first call the picture that the server
// has is left alone.
func (c *Client) SetAvatar(a *Avatar) { c.avatar.Store(&a) }
