package linklocal

import (
	"bytes"
	"context"
	"time"

	"meshgate/internal/icon"
	"meshgate/internal/iconcache"
)

const (
	// maxServedIcon keeps an answer with a picture within one packet.
	//
	// "a Multicast DNS packet, including IP and UDP headers, MUST NOT exceed
	// 9000 bytes". RFC 6762 §17
	maxServedIcon = 8500
	// servedSide is libpurple's limit for buddy icons on a LAN, in pixels.
	servedSide = 96
)

// iconStale is how long caches may hand out a picture that has been replaced:
// its record lives for 5 s, and avahi keeps a second more.
const iconStale = 6 * time.Second

// A fittedIcon is a contact's picture as it is to be published.
type fittedIcon struct {
	data    []byte // what fits; nil: none
	hash    string // of data: phsh
	source  string // hash of what it was made from
	fitting bool   // another is being made
}

// A servedIcon is what has been published of it.
type servedIcon struct {
	data      []byte    // the NULL record; nil: none
	hash      string    // phsh
	staleTill time.Time // until then somebody may have the record before
}

// serveIcon brings the record up to date, and then the hash. Who hears of
// another hash asks at once, through the cache beside it, so it is not said
// before the old picture is gone from there.
//
// "the user's client MUST update the NULL record with the contents of the new
// picture, calculate a new picture hash, and then update the "phsh" value in
// the TXT record". XEP-0174 (Buddy Icons)
//
// COMPAT avahi: answers from its cache, which knows nothing of phsh.
func (l *loop) serveIcon(now time.Time, ct *contact) {
	s := &ct.served
	if ct.text == nil { // nobody has anything under this name
		*s = servedIcon{data: ct.icon.data, hash: ct.icon.hash}
		return
	}
	if !bytes.Equal(s.data, ct.icon.data) {
		if s.data != nil {
			s.staleTill = now.Add(iconStale)
		}
		s.data = ct.icon.data
		l.dns.SetNull(ct.service, s.data)
	}
	switch {
	case s.hash == ct.icon.hash:
	case ct.icon.hash != "" && now.Before(s.staleTill):
		ct.retry = s.staleTill
		l.due(ct.retry)
	default:
		s.hash = ct.icon.hash
	}
}

// fitIcon makes a contact's picture fit for a record, in a goroutine of its
// own, one after the other. Meanwhile the one before is served.
func (l *loop) fitIcon(ct *contact) {
	if ct.Icon == nil || !l.cfg.keysOf(&ct.Contact).Icon {
		ct.icon = fittedIcon{fitting: ct.icon.fitting}
		return
	}
	source := ct.Icon.Data
	hash := iconcache.Hash(source)
	if ct.icon.fitting || ct.icon.source == hash {
		return
	}
	ct.icon.fitting = true
	l.spawn(func(ctx context.Context) {
		var data []byte
		var err error
		if !l.alone(ctx, func() { data, _, err = icon.Fit(source, maxServedIcon, servedSide) }) {
			return
		}
		if err != nil {
			l.log.Warn("contact's icon is not published", "contact", ct.ID, "err", err)
		}
		l.call(func(now time.Time) { l.iconFitted(now, ct, hash, data) })
	})
}

// alone runs f, which decodes a picture: one at a time, for that may take 16
// MiB. It may be called from any goroutine, and reports false if ctx has ended.
func (l *loop) alone(ctx context.Context, f func()) bool {
	select {
	case l.fits <- struct{}{}:
		f()
		<-l.fits
		return true
	case <-ctx.Done():
		return false
	}
}

// iconFitted publishes a contact's picture; no data: it cannot be.
func (l *loop) iconFitted(now time.Time, ct *contact, source string, data []byte) {
	ct.icon.fitting = false
	if l.contacts[ct.ID] != ct || !l.stopAt.IsZero() || ct.Icon == nil {
		return
	}
	ct.icon = fittedIcon{data: data, source: source}
	if len(data) > 0 {
		ct.icon.hash = iconcache.Hash(data)
	}
	l.fitIcon(ct) // there may be another by now
	l.establish(now, ct)
}

// wantIcon notes what a peer says of its picture.
func (l *loop) wantIcon(now time.Time, p Peer) {
	if none := l.icons.set(now, p.Instance, p.Presence.PHSH); none {
		l.roster.setIcon(p.Instance, nil)
	}
	l.fetchIcons(now)
}

// fetchIcons begins the fetches that are due.
func (l *loop) fetchIcons(now time.Time) {
	if !l.stopAt.IsZero() {
		return
	}
	for j := l.icons.next(now); j != nil; j = l.icons.next(now) {
		j.cancel = l.spawn(func(ctx context.Context) { l.fetchIcon(ctx, j) })
	}
	l.due(l.icons.nextTimeout())
}

// fetchIcon gets a picture: one that is known from the cache, any other from
// the peer. It runs in a goroutine of its own.
//
// "If the values are equal, the client SHOULD use the local copy of the icon."
// XEP-0174 (Buddy Icons)
func (l *loop) fetchIcon(ctx context.Context, j *iconJob) {
	data := l.cache.Get(j.hash, time.Now())
	if data != nil {
		l.count.iconsCached.Add(1)
	} else if data = l.askIcon(ctx, j); data != nil {
		l.cache.Put(data, time.Now())
	}
	how, pic := iconMissing, (*Icon)(nil)
	if data != nil {
		l.alone(ctx, func() { how, pic = l.keepIcon(j, data) })
	}
	l.call(func(now time.Time) {
		if l.icons.done(now, j, how) && !l.roster.setIcon(j.instance, pic) {
			l.count.iconsBad.Add(1)
			l.log.Debug("peer's icon ignored: there are too many", "peer", j.instance)
		}
		l.fetchIcons(now)
	})
}

// keepIcon makes of the peer's bytes what is kept of them.
func (l *loop) keepIcon(j *iconJob, data []byte) (iconOutcome, *Icon) {
	kept, mime, err := icon.Keep(data)
	if err != nil {
		l.count.iconsBad.Add(1)
		l.log.Debug("peer's icon ignored", "peer", j.instance, "err", err)
		return iconUseless, nil
	}
	return iconCame, &Icon{Data: kept, Type: mime}
}

// askIcon asks the peer: by multicast DNS, first for an answer to us alone.
// What does not have the hash is another picture. The questions end with the
// first answer, and when the peer has gone or has another picture.
//
// "it MUST cancel the NULL record query immediately after receiving a response
// containing the new picture data". XEP-0174 (Buddy Icons)
//
// COMPAT libpurple 2.14, avahi: the picture has a TTL of 120 s and no
// cache-flush bit, so for two minutes after a change a cache may answer with
// the one before. That is asked for again later.
func (l *loop) askIcon(ctx context.Context, j *iconJob) []byte {
	l.count.iconsAsked.Add(1)
	data, err := l.dns.FetchNull(ctx, string(j.instance), serviceType)
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil || len(data) == 0:
		l.count.iconsFailed.Add(1)
		l.log.Debug("peer's icon did not come", "peer", j.instance, "err", err)
		return nil
	case iconcache.Hash(data) != j.hash:
		l.count.iconsBad.Add(1)
		l.log.Debug("peer's icon is not the one that it says", "peer", j.instance, "bytes", len(data))
		return nil
	}
	return data
}
