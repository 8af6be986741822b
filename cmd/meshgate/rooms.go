package main

import (
	"context"
	"fmt"
	"strings"

	"meshgate/bridge/status"
)

const roomsHelp = `usage: meshgate rooms [-json] [-config FILE | -socket PATH]

Asks the gateway that runs on this machine for its rooms: those of the LAN
(Clique) that are one with rooms of the network (MUC). For each it prints how it
is doing, and who is in it on both sides.

  -json         print JSON
  -config FILE  the gateway's configuration, as for meshgate peers
  -socket PATH  where the gateway listens

exit codes: 0 it worked, 1 no gateway answers, 2 the command line is wrong,
78 the configuration is wrong
`

func roomsCommand(args []string, p process) int {
	o, code, done := parse("rooms", args, p)
	if done {
		return code
	}
	return o.ask(p, func(ctx context.Context, path string) int {
		list, err := status.Dial(path).Rooms(ctx)
		switch {
		case err != nil:
			fmt.Fprintf(p.stderr, "meshgate rooms: %s\n", controlWords(path, err))
			return exitFailed
		case o.json:
			err = writeJSON(p, list)
		default:
			_, err = fmt.Fprint(p.stdout, roomsText(list))
		}
		if err != nil {
			return exitFailed
		}
		return exitOK
	})
}

// roomsText describes the rooms, a paragraph for each.
func roomsText(list []status.Room) string {
	if len(list) == 0 {
		return "there are no rooms in the configuration\n"
	}
	var b strings.Builder
	for i, r := range list {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s = %s\n  %s\n", plain(r.Name), plain(r.MUC), plain(r.State))
		if r.Carrier != "" {
			fmt.Fprintf(&b, "  carried by %s\n", plain(r.Carrier))
		}
		if r.Group != "" {
			fmt.Fprintf(&b, "  at %s\n", plain(r.Group))
		}
		fmt.Fprintf(&b, "  on the LAN: %s\n  on the network: %s\n", everybody(r.Members, 0), everybody(r.Occupants, r.More))
	}
	return b.String()
}

// everybody lists names for a terminal, and so many who have none.
func everybody(names []string, more int) string {
	if len(names) == 0 && more == 0 {
		return "nobody"
	}
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = plain(n)
	}
	if more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(list, ", "), more)
	}
	return strings.Join(list, ", ")
}
