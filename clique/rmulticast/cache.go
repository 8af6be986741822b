package rmulticast

// A slot is the place of one packet of a sender.
type slot struct {
	raw       []byte // nil: it is missed, or not known to exist
	p         Packet // its payload is in raw
	timer     timer  // to ask for it, or to send it again
	repeating bool   // sent again until that is taken back
	asked     int    // how often we have asked for it, or somebody has
}

// A cache holds the packets of one sender from an id on, with holes.
type cache struct {
	first PacketID
	slots []*slot
}

// get returns the slot of an id, or nil.
func (c *cache) get(id PacketID) *slot {
	if d := id.diff(c.first); d >= 0 && d < len(c.slots) {
		return c.slots[d]
	}
	return nil
}

// stored returns the slot of an id whose packet is there, or nil.
func (c *cache) stored(id PacketID) *slot {
	if s := c.get(id); s != nil && s.raw != nil {
		return s
	}
	return nil
}

// open returns the slot of an id that is not before first, made if need be. The
// caller sees to it that the id is not far.
func (c *cache) open(id PacketID) *slot {
	d := id.diff(c.first)
	for len(c.slots) <= d {
		c.slots = append(c.slots, nil)
	}
	if c.slots[d] == nil {
		c.slots[d] = &slot{}
	}
	return c.slots[d]
}

// freeFirst drops the first slot.
func (c *cache) freeFirst() {
	c.slots[0] = nil
	c.slots = c.slots[1:]
	c.first++
}
