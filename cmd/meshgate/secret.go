package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxSecretBytes caps the size of a password and its file.
const maxSecretBytes = 4096

// credentialsDir names the directory where systemd puts LoadCredential's files.
const credentialsDir = "CREDENTIALS_DIRECTORY"

var errLater = errors.New("only there at run time")

// secretKeys are the four ways to give the password, of which one is used.
func (c *config) secretKeys() []string {
	var given []string
	for _, k := range []string{"password", "password_file", "password_env", "password_credential"} {
		if c.given("account." + k) {
			given = append(given, k)
		}
	}
	return given
}

// secretPath is the key that gives the password.
func (c *config) secretPath() string {
	if given := c.secretKeys(); len(given) > 0 {
		return "account." + given[0]
	}
	return "account"
}

// checkSecret says whether the password can be had. One that the environment
// gives need not be there yet.
func (c *config) checkSecret() {
	given := c.secretKeys()
	switch len(given) {
	case 0:
		c.wrong("account", "there is no password; write password_file: with the name of a file that holds it, or password_env: with the name of an environment variable")
		return
	case 1:
		if a := c.Account; a.Password+a.File+a.Env+a.Credential == "" {
			return // its value is wrong, and the decoder has said so
		}
	default:
		c.wrong("account."+given[1], "the password is given twice, by %s; keep one of them", strings.Join(given, " and "))
		return
	}
	path := "account." + given[0]
	switch _, err := c.secret(); {
	case errors.Is(err, errLater):
		c.doubt(path, "%v", err)
	case err != nil:
		c.wrong(path, "%v", err)
	}
	c.checkSecretMode(given[0])
}

// secret is the password. An error that is errLater says that it is not in
// the environment.
func (c *config) secret() (string, error) {
	a := c.Account
	var raw string
	switch {
	case a.Password != "":
		raw = a.Password
	case a.File != "":
		b, err := readCapped(c.resolve(a.File), maxSecretBytes)
		if err != nil {
			return "", err
		}
		raw = string(b)
	case a.Env != "":
		if raw = c.host.getenv(a.Env); raw == "" {
			return "", laterError(fmt.Sprintf("the environment variable %s is not set; it must be when the gateway runs", a.Env))
		}
	case a.Credential != "":
		return c.credential(a.Credential)
	default:
		return "", errors.New("there is no password")
	}
	return cleanSecret(raw)
}

func (c *config) credential(name string) (string, error) {
	if name != filepath.Base(name) || name == "." || name == ".." {
		return "", fmt.Errorf("%q is no name of a credential; write the part before the colon of LoadCredential=", name)
	}
	dir := c.host.getenv(credentialsDir)
	if dir == "" {
		return "", laterError("systemd has given no credentials (" + credentialsDir + " is not set); it must when the gateway runs")
	}
	b, err := readCapped(filepath.Join(dir, name), maxSecretBytes)
	if err != nil {
		return "", err
	}
	return cleanSecret(string(b))
}

// cleanSecret takes the line end off that editors leave in a file.
func cleanSecret(s string) (string, error) {
	s = strings.TrimRight(s, "\r\n")
	switch {
	case s == "":
		return "", errors.New("the password is empty")
	case len(s) > maxSecretBytes:
		return "", fmt.Errorf("the password has more than %d bytes", maxSecretBytes)
	case !utf8.ValidString(s), strings.ContainsFunc(s, unicode.IsControl):
		return "", errors.New("the password must be one line of text (UTF-8)")
	}
	return s, nil
}

// checkSecretMode warns of a password that every user of the machine can read.
func (c *config) checkSecretMode(key string) {
	name := ""
	switch key {
	case "password":
		name = c.file
	case "password_file":
		name = c.resolve(c.Account.File)
	}
	fi, err := os.Stat(name)
	if name == "" || err != nil || fi.Mode().Perm()&0o004 == 0 {
		return
	}
	c.doubt("account."+key, "every user of this machine can read %s; run: chmod o-rwx %s", name, name)
}

// A laterError is errLater in words.
type laterError string

func (e laterError) Error() string        { return string(e) }
func (e laterError) Is(target error) bool { return target == errLater }
