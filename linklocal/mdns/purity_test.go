package mdns

import (
	"go/ast"
	goparser "go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// shell is the loop and what it needs of the system.
var shell = []string{"conn.go", "loop.go", "follow.go", "socket.go", "network.go", "network_linux.go", "network_other.go"}

// TestEngineFilesArePure: only the loop and the socket do I/O, wait, lock or
// read the clock.
func TestEngineFilesArePure(t *testing.T) {
	files, _ := filepath.Glob("*.go")
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || slices.Contains(shell, file) {
			continue
		}
		fset := token.NewFileSet()
		f, err := goparser.ParseFile(fset, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range f.Imports {
			if slices.Contains([]string{`"net"`, `"sync"`, `"context"`, `"os"`, `"sync/atomic"`, `"golang.org/x/net/ipv4"`}, imp.Path.Value) {
				t.Errorf("%s imports %s", file, imp.Path.Value)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt, *ast.ChanType, *ast.SelectStmt:
				t.Errorf("%s: goroutine or channel in the engine", fset.Position(n.Pos()))
			case *ast.SelectorExpr:
				x, ok := n.X.(*ast.Ident)
				if ok && x.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "NewTimer"}, n.Sel.Name) {
					t.Errorf("%s: time.%s in the engine", fset.Position(n.Pos()), n.Sel.Name)
				}
			}
			return true
		})
	}
}
