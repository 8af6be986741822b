package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// FuzzConfig feeds files to the loader: it must neither panic nor print more
// than a screenful, and each line that it names must exist.
func FuzzConfig(f *testing.F) {
	b, err := os.ReadFile(exampleFile)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(good))
	f.Add([]byte("a: &a [*a, *a]\n<<: *a\n"))
	f.Add([]byte("- - - ? : !!x [{}]\n---\n"))
	f.Add([]byte("account:\n  jid: *x\n\tpins: [0]\n"))
	f.Add([]byte("grace: 1h\nlan: {idle: 99999999h}\nlimits: {body: 1e3}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 64<<10 {
			return
		}
		c := load("-", host{stdin: bytes.NewReader(b), getenv: noEnv, name: machineH1})
		lines := bytes.Count(b, []byte("\n")) + bytes.Count(b, []byte("\r")) + bytes.Count(b, []byte("\u0085")) +
			bytes.Count(b, []byte("\u2028")) + bytes.Count(b, []byte("\u2029")) + 2
		for _, p := range c.list {
			if p.line < 0 || p.line > lines {
				t.Errorf("problem in line %d of %d: %s", p.line, lines, p)
			}
			if strings.ContainsAny(p.String(), "\n\x1b\x00") {
				t.Errorf("problem is not one line of text: %q", p)
			}
		}
		if c.errors() == 0 && (c.Account.JID == "" || len(c.secretKeys()) != 1) {
			t.Errorf("accepted without an account: %+v", c.fileConfig)
		}
	})
}
