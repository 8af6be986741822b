package linklocal

import "meshgate/linklocal/mdns"

// HandleMDNS takes an event of the mDNS responder. It never blocks, and it
// may be called before Run, after it, and from any goroutine.
func (s *Service) HandleMDNS(ev mdns.Event) {
	var key string
	switch ev := ev.(type) {
	case mdns.Established:
		key = "own " + string(ev.ID)
	case mdns.Renaming:
		key = "own " + string(ev.ID)
	case mdns.Appeared:
		key = presenceKey(ev.Type, ev.Instance)
	case mdns.Changed:
		key = presenceKey(ev.Type, ev.Instance)
	case mdns.Vanished:
		key = presenceKey(ev.Type, ev.Instance)
	}
	if key != "" && !s.inbox.Put(key, ev) {
		s.count.eventsLost.Add(1)
	}
}

// presenceKey is "" for services that are not ours to know.
func presenceKey(typ, instance string) string {
	if typ != serviceType {
		return ""
	}
	return "peer " + Instance(instance).Key()
}
