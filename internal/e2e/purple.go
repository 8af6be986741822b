package e2e

import (
	"crypto/sha256"
	_ "embed"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed purplepeer/purplepeer.c
var purplePeerSource []byte

// buildPurplePeer compiles the headless libpurple client once for each version
// of its source, into the user's cache, and returns its path.
var buildPurplePeer = sync.OnceValues(func() (string, error) {
	dir, err := cacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "purplepeer-"+shortHash(purplePeerSource))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	flags, err := exec.Command("pkg-config", "--cflags", "--libs", "purple").Output()
	if err != nil {
		return "", fmt.Errorf("pkg-config purple: %w", err)
	}
	part, err := os.MkdirTemp(dir, "build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(part)
	source, built := filepath.Join(part, "purplepeer.c"), filepath.Join(part, "purplepeer")
	if err := os.WriteFile(source, purplePeerSource, 0o644); err != nil {
		return "", err
	}
	args := append([]string{"-O1", "-g", "-rdynamic", "-Wall", "-o", built, source}, strings.Fields(string(flags))...)
	if out, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("gcc: %w: %s", err, out)
	}
	return path, os.Rename(built, path)
})

// shortHash tells versions of something apart in a file name.
func shortHash(b []byte) string { return fmt.Sprintf("%.8x", sha256.Sum256(b)) }

// cacheDir is where builds of the lab are kept between runs.
func cacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	dir = filepath.Join(dir, "meshgate-e2e")
	return dir, os.MkdirAll(dir, 0o755)
}

// PurpleOptions is what a person sets up in Pidgin.
type PurpleOptions struct {
	First, Last, JID, Email string
	Message                 string // status message
	Icon                    string // file of the avatar
	Port                    int    // 0: libpurple's own choice, 5298
	Debug                   bool   // libpurple's log in the report
}

// A Purple is a real Bonjour client, Debian's libpurple without a window: what
// Pidgin is on a LAN.
type Purple struct {
	*Proc
	User     string // account name
	Instance string // presence name, user@host
}

// Purple starts a libpurple client on a host with avahi and waits until it is
// on line.
func (h *Host) Purple(user string, opt PurpleOptions) *Purple {
	h.tb.Helper()
	p := h.StartPurple(user, opt)
	p.AwaitReady()
	return p
}

// StartPurple is Purple without the wait.
func (h *Host) StartPurple(user string, opt PurpleOptions) *Purple {
	h.tb.Helper()
	program, err := buildPurplePeer()
	if err != nil {
		h.tb.Fatalf("e2e: build purplepeer: %v", err)
	}
	args := []string{program}
	for _, o := range []struct{ flag, value string }{
		{"-f", opt.First}, {"-l", opt.Last}, {"-j", opt.JID}, {"-e", opt.Email}, {"-m", opt.Message}, {"-i", opt.Icon},
	} {
		if o.value != "" {
			args = append(args, o.flag, o.value)
		}
	}
	if opt.Port != 0 {
		args = append(args, "-p", strconv.Itoa(opt.Port))
	}
	if opt.Debug {
		args = append(args, "-d")
	}
	name := h.InstanceOf(user)
	proc := h.StartSpec(Spec{Name: "purple:" + name, Args: append(args, user)})
	return &Purple{Proc: proc, User: user, Instance: name}
}

// AwaitReady waits until the client is on line.
func (p *Purple) AwaitReady() { p.tb.Helper(); p.Expect(`^READY\t`) }

// AwaitOn waits until a buddy appears and returns its alias.
func (p *Purple) AwaitOn(buddy string) (alias string) {
	p.tb.Helper()
	return p.Expect(`^ON\t` + regexp.QuoteMeta(buddy) + `\t(.*)$`)[1]
}

// AwaitRemoved waits until a buddy is gone.
func (p *Purple) AwaitRemoved(buddy string) {
	p.tb.Helper()
	p.Expect(`^REMOVED\t` + regexp.QuoteMeta(buddy) + `$`)
}

// AwaitStatus waits until a buddy has that status, "available" or "away", and
// that message.
func (p *Purple) AwaitStatus(buddy, status, message string) {
	p.tb.Helper()
	p.Expect(`^STATUS\t` + regexp.QuoteMeta(buddy+"\t"+status+"\t"+message) + `$`)
}

// AwaitIcon waits until a buddy's avatar has changed and returns its SHA-1 in
// hexadecimal and its size.
func (p *Purple) AwaitIcon(buddy string) (sha1 string, size int) {
	p.tb.Helper()
	m := p.Expect(`^ICON\t` + regexp.QuoteMeta(buddy) + `\t([0-9a-f]*|-)\t(\d+)$`)
	size, _ = strconv.Atoi(m[2]) // digits
	return m[1], size
}

// An IM is one message as the person sees it.
type IM struct {
	From string // presence name
	HTML string
}

// Text is the message without markup.
func (im IM) Text() string { return PlainText(im.HTML) }

// NextIM waits for the next message that no one has awaited, from anybody.
func (p *Purple) NextIM() IM {
	p.tb.Helper()
	return p.NextIMWithin(Patience)
}

// NextIMWithin is NextIM with another limit than [Patience].
func (p *Purple) NextIMWithin(d time.Duration) IM {
	p.tb.Helper()
	m := p.ExpectWithin(d, `^IM\t([^\t]*)\t(.*)$`)
	return IM{From: m[1], HTML: m[2]}
}

// AwaitIM waits for a message with exactly that plain text from a buddy;
// messages before it stay to be awaited.
func (p *Purple) AwaitIM(from, text string) IM {
	p.tb.Helper()
	im, err := p.awaitIM(from, text)
	if err != nil {
		p.tb.Fatalf("e2e: %v", err)
	}
	return im
}

func (p *Purple) awaitIM(from, text string) (IM, error) {
	var got IM
	_, err := p.await(Patience, fmt.Sprintf("message %q from %s", text, from), func(s string) bool {
		im, ok := parseIM(s)
		got = im
		return ok && im.From == from && im.Text() == text
	})
	return got, err
}

// IMs returns all messages received so far, in their order, awaited or not.
func (p *Purple) IMs() []IM {
	var ims []IM
	for _, text := range p.Lines() {
		if im, ok := parseIM(text); ok {
			ims = append(ims, im)
		}
	}
	return ims
}

func parseIM(text string) (IM, bool) {
	rest, ok := strings.CutPrefix(text, "IM\t")
	from, markup, ok2 := strings.Cut(rest, "\t")
	return IM{From: from, HTML: markup}, ok && ok2
}

// tag matches markup. A line end inside the message has become a space.
var tag = regexp.MustCompile(`<[^>]*>`)

// PlainText is what a person reads of a message: tags gone, line breaks as
// line ends, entities resolved.
func PlainText(markup string) string {
	s := regexp.MustCompile(`(?i)<br\s*/?>`).ReplaceAllString(markup, "\n")
	return html.UnescapeString(tag.ReplaceAllString(s, ""))
}

// command sends the words of a command. Line ends would end it.
func (p *Purple) command(words ...string) {
	p.tb.Helper()
	p.Send("%s", strings.NewReplacer("\r", "", "\n", " ").Replace(strings.Join(words, "\t")))
}

// Msg sends a message; the text is HTML, as a person's client makes it, and a
// line end in it a line break.
func (p *Purple) Msg(buddy, text string) {
	p.tb.Helper()
	p.command("msg", buddy, strings.ReplaceAll(text, "\n", "<br>"))
}

// SetStatus sets "available" or "away" with a message, which may be empty.
func (p *Purple) SetStatus(status, message string) {
	p.tb.Helper()
	if message == "" {
		p.command("status", status)
		return
	}
	p.command("status", status, message)
}

// SetIcon sets the avatar from a file, or with "-" removes it.
func (p *Purple) SetIcon(file string) { p.tb.Helper(); p.command("icon", file) }

// SendFile offers a file. The other side of libpurple accepts any, and writes
// it to NAME.recv in its host's directory.
func (p *Purple) SendFile(buddy, file string) { p.tb.Helper(); p.command("send", buddy, file) }

// AwaitFile waits until a transfer with a buddy is done and returns the local
// file's path.
func (p *Purple) AwaitFile(buddy string) string {
	p.tb.Helper()
	return p.Expect(`^XFER-DONE\t` + regexp.QuoteMeta(buddy) + `\t([^\t]*)\t`)[1]
}

// CloseChat closes the conversation window, which ends the XML stream.
func (p *Purple) CloseChat(buddy string) { p.tb.Helper(); p.command("close", buddy) }

// A Buddy is one line of the buddy list.
type Buddy struct {
	Name, Alias string
	Status      string // available, away or offline
	Message     string
	IconBytes   int
}

// Buddies returns what the person sees in the buddy list now, by name.
func (p *Purple) Buddies() map[string]Buddy {
	p.tb.Helper()
	p.command("list")
	n, _ := strconv.Atoi(p.Expect(`^LIST-END\t(\d+)$`)[1]) // digits
	buddies := make(map[string]Buddy)
	lines := p.Lines()
	for i := len(lines) - 1; i >= 0 && len(buddies) < n; i-- { // the newest list
		f := strings.Split(lines[i], "\t")
		if len(f) != 6 || f[0] != "BUDDY" {
			continue
		}
		b := Buddy{Name: f[1], Alias: f[2], Status: f[3], Message: f[4]}
		b.IconBytes, _ = strconv.Atoi(strings.TrimPrefix(f[5], "icon="))
		buddies[b.Name] = b
	}
	return buddies
}

// AwaitShown waits until the buddy list shows a buddy like that, be it since
// the buddy appeared or by a change.
func (p *Purple) AwaitShown(buddy, status, message string) {
	p.tb.Helper()
	if b := p.Buddies()[buddy]; b.Status != status || b.Message != message {
		p.AwaitStatus(buddy, status, message)
	}
}

// Quit goes off line in order and waits until the program has ended.
func (p *Purple) Quit() {
	p.tb.Helper()
	p.command("quit")
	p.Wait()
}
