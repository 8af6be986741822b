package dsps

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"
)

// What is said on a connection, read a second time with strings and expressions
// alone, for the fuzz targets: slowly, all at once, and with nothing of the code
// that they test.

var (
	headName   = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	blockStart = regexp.MustCompile(`^0([1-9][0-9]*)([0-9A-Z])$`)
)

// dumbPreamble is script of a connection of which all has come.
func dumbPreamble(in string) (out string) {
	eol, headers := "", -1 // not in a request
	hello, secret, asked := false, false, false
	for {
		if i := strings.IndexAny(in, "\r\n"); eol == "" && i >= 0 {
			eol = in[i : i+1]
			if strings.HasPrefix(in[i:], "\r\n") {
				eol = "\r\n"
			}
		}
		line, rest, ok := strings.Cut(in, eol)
		if !ok || eol == "" {
			return out
		}
		in = rest
		request := line == "GET /DSPS/STREAM/ HTTP/1.0" || line == "GET /DSPS/STREAM/ HTTP/1.1"
		switch {
		case strings.ContainsAny(line, "\x00\r\n"):
			return out + fmt.Sprintf("error http=%v\n", headers >= 0)
		case headers >= 0 && line == "":
			out, headers, eol = out+"1 \n", -1, ""
		case headers >= 0:
			if headers++; headers > maxHeaders || !goodHeader(line) {
				return out + "error http=true\n"
			}
		case hello:
			return out + fmt.Sprintf("4 %s\ndata %q\n", line, in)
		case !asked && !secret && request:
			asked, headers = true, 0
		case !asked && !secret && strings.HasPrefix(line, "GET "):
			return out + "error http=true\n"
		case !secret && line == "starttls":
			out, secret = out+"2 \n", true
		default:
			out, hello = out+"3 "+line+"\n", true
		}
	}
}

func goodHeader(line string) bool {
	name, value, ok := strings.Cut(line, ":")
	switch strings.ToLower(name) {
	case "transfer-encoding":
		return false
	case "content-length":
		return ok && strings.TrimSpace(value) == "0"
	}
	return ok && headName.MatchString(name)
}

// dumbBlocks is the data of blocks, with the id of its sender in front of each
// byte, up to what is no block.
func dumbBlocks(wire string) string {
	var out strings.Builder
	for {
		head, rest, _ := strings.Cut(wire, "\r")
		id, data, ok := strings.Cut(rest, "\r")
		m := blockStart.FindStringSubmatch(head)
		if !ok || m == nil || len(id) > maxBlockID {
			return out.String()
		}
		size, _ := new(big.Int).SetString(m[1], 10)
		power, _ := new(big.Int).SetString(strings.ToLower(m[2]), 36)
		size.Mul(size, new(big.Int).Exp(big.NewInt(1024), power, nil))
		if !size.IsInt64() || size.Int64() < int64(len(id))+1 {
			return out.String()
		}
		n := int(min(size.Int64()-int64(len(id))-1, int64(len(data))))
		out.WriteString(labelled(id, data[:n]))
		wire = data[n:]
	}
}

func labelled(id, data string) string {
	var out strings.Builder
	for i := range len(data) {
		out.WriteString(id + "\r" + data[i:i+1])
	}
	return out.String()
}
