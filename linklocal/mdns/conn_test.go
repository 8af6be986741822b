package mdns

import (
	"errors"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConnsFindEachOtherAndSayGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lan fakeWorld
		a, b := lan.conn("a", "10.0.0.1"), lan.conn("b", "10.0.0.2")
		if err := a.Register(service("x", "k=v")); err != nil { // before Run
			t.Fatal(err)
		}
		a.start()
		b.start()
		time.Sleep(2 * time.Second) // virtual
		if e, ok := b.entry("x"); !ok || e.Addrs[0].String() != "10.0.0.1" {
			t.Fatalf("b sees %v, %v", e, ok)
		}
		a.SetText("x", []string{"k=w"})
		time.Sleep(100 * ms)
		if e, _ := b.entry("x"); e.Text[0] != "k=w" {
			t.Errorf("text is %q", e.Text)
		}
		e, err := b.Resolve(t.Context(), "x", testType)
		if err != nil || e.Port != 5298 {
			t.Errorf("resolved %v, %v", e, err)
		}
		if _, err := b.Resolve(t.Context(), "nobody", testType); !errors.Is(err, ErrNotFound) {
			t.Errorf("resolved nobody: %v", err)
		}
		// LL-11: on every orderly stop a goodbye.
		if d := a.stop(t); d > time.Second {
			t.Errorf("the goodbye took %v", d)
		}
		time.Sleep(1100 * ms)
		if _, ok := b.entry("x"); ok {
			t.Error("b still sees x")
		}
		if err := a.Register(service("y")); !errors.Is(err, ErrClosed) {
			t.Errorf("Register after the end: %v", err)
		}
		if _, err := a.Resolve(t.Context(), "x", testType); !errors.Is(err, ErrClosed) {
			t.Errorf("Resolve after the end: %v", err)
		}
		if s := b.Stats(); s.PacketsIn == 0 || s.PacketsOut == 0 || s.OwnEchoes == 0 {
			t.Errorf("stats %+v", s)
		}
		b.stop(t)
	})
}

// TestConnFollowsItsInterface: LL-18 for one interface.
func TestConnFollowsItsInterface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lan fakeWorld
		a, b := lan.conn("a"), lan.conn("b", "10.0.0.2") // a has no interface yet
		a.Register(service("x"))
		a.start()
		b.start()
		time.Sleep(10 * time.Second)
		if links := a.Links(); len(links) > 0 {
			t.Errorf("links from nowhere: %v", links)
		}
		a.host.fail(syscall.EADDRINUSE, nil)
		a.host.set(2, "10.0.0.1")
		time.Sleep(10 * time.Second)
		a.host.fail(nil, nil)
		time.Sleep(5 * time.Second)
		if _, ok := b.entry("x"); !ok {
			t.Fatal("not published once the interface came")
		}
		a.host.set(2, "10.0.0.7", "fe80::7")
		time.Sleep(5 * time.Second)
		if e, _ := b.entry("x"); len(e.Addrs) != 2 || e.Addrs[0].String() != "10.0.0.7" || e.Addrs[1].String() != "fe80::7%eth0" {
			t.Errorf("addresses %v after a change", e.Addrs)
		}
		if got := a.Links(); len(got) != 1 || len(got[0].Addrs()) != 2 {
			t.Errorf("links %v", got)
		}
		a.host.set(0)
		time.Sleep(3 * time.Minute)
		if _, ok := b.entry("x"); ok {
			t.Error("still seen without a link")
		}
		a.host.set(3, "10.0.0.8") // back, as another interface
		time.Sleep(6 * time.Second)
		if e, _ := b.entry("x"); len(e.Addrs) != 1 || e.Addrs[0].String() != "10.0.0.8" {
			t.Errorf("addresses %v after the return", e.Addrs)
		}
		a.stop(t)
		b.stop(t)
	})
}

// The cable was out while the interface and its address stayed: what was said
// meanwhile was lost, ours and theirs. LL-18
func TestConnStartsAfreshWhenTheCableIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lan fakeWorld
		a, b := lan.conn("a", "10.0.0.1"), lan.conn("b", "10.0.0.2")
		a.Register(service("x"))
		b.Register(service("y"))
		a.start()
		time.Sleep(30 * time.Second) // the next browse question is far away
		a.host.cable(false)
		b.start()
		time.Sleep(30 * time.Second)
		a.host.cable(true)
		time.Sleep(5 * time.Second)
		if _, ok := a.entry("y"); !ok {
			t.Error("a has not asked who came meanwhile")
		}
		if _, ok := b.entry("x"); !ok {
			t.Error("a has not said that it is there")
		}
		a.stop(t)
		b.stop(t)
	})
}

func TestConnSurvivesSocketTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lan fakeWorld
		a, b := lan.conn("a", "10.0.0.1"), lan.conn("b", "10.0.0.2")
		a.start()
		b.start()
		time.Sleep(5 * time.Second)
		a.host.fail(nil, syscall.ENETUNREACH)
		a.Register(service("x"))
		time.Sleep(1500 * ms)
		if a.Stats().SendErrors == 0 {
			t.Error("lost packets not counted")
		}
		a.host.fail(nil, nil)
		lan.mu.Lock()
		lan.sockets[0].broken <- syscall.ENETDOWN // reading fails: another socket
		lan.mu.Unlock()
		time.Sleep(10 * time.Second)
		if _, ok := b.entry("x"); !ok {
			t.Error("a does not work again")
		}
		a.stop(t)
		b.stop(t)
	})
}

// LL-18: a machine that is out of files, say, cannot list its interfaces. They
// are there all the same.
func TestConnKeepsItsLinksWhenTheyCannotBeListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lan fakeWorld
		a := lan.conn("a", "10.0.0.1")
		a.start()
		time.Sleep(5 * time.Second)
		list := func(err error) {
			lan.mu.Lock()
			a.host.listErr = err
			lan.mu.Unlock()
		}
		list(syscall.EMFILE)
		time.Sleep(10 * time.Second)
		if links := a.Links(); len(links) != 1 {
			t.Errorf("links %v", links)
		}
		a.host.set(2, "10.0.0.7")
		list(nil)
		time.Sleep(linkPoll)
		if links := a.Links(); len(links) != 1 || links[0].Prefixes[0] != fakePrefix("10.0.0.7") {
			t.Errorf("links %v, want the new address", links)
		}
		a.stop(t)
	})
}

func TestCallsFromManyGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lan fakeWorld
		a, b := lan.conn("a", "10.0.0.1"), lan.conn("b", "10.0.0.2")
		a.start()
		b.start()
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				id := ServiceID(rune('A' + i))
				a.Register(Service{ID: id, Instance: "same", Type: testType, Port: 1})
				a.SetText(id, []string{"x=y"})
				a.SetNull(id, []byte("z"))
				a.Learn("nobody", testType)
				a.Stats()
				if i%2 == 0 {
					a.Unregister(id)
				}
			})
		}
		wg.Wait()
		time.Sleep(5 * time.Second)
		b.mu.Lock()
		if len(b.seen) != 25 {
			t.Errorf("b sees %d of 25", len(b.seen))
		}
		b.mu.Unlock()
		a.stop(t)
		b.stop(t)
	})
}

func TestRegisterErrorsComeAtOnce(t *testing.T) {
	c := New(ConnConfig{Limits: Limits{Services: 1}})
	if err := c.Register(Service{ID: "x", Instance: "x", Type: "nonsense"}); err == nil {
		t.Error("bad type taken")
	}
	if err := c.Register(service("x")); err != nil {
		t.Error(err)
	}
	if err := c.Register(service("x")); !errors.Is(err, ErrDuplicateID) {
		t.Errorf("duplicate: %v", err)
	}
	if err := c.Register(service("y")); !errors.Is(err, ErrTooMany) {
		t.Errorf("too many: %v", err)
	}
}
