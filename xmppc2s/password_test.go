package xmppc2s

import "testing"

// RFC 5802 §5.1: what looks the same is the same password.
func TestPasswordsAreNormalized(t *testing.T) {
	for in, want := range map[string]string{
		"secret \"&<'%":     "secret \"&<'%",
		"gru\u0308n":        "gr\u00fcn",
		"two\u00a0words":    "two words",
		"\u2168 (RFC 4013)": "IX (RFC 4013)",
	} {
		if got := prepared(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
