package linklocal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// The engines take the time as an argument, do no I/O and share nothing.
func TestEnginesArePure(t *testing.T) {
	forbidden := []string{"net", "sync", "sync/atomic", "context", "os", "log/slog", "math/rand", "math/rand/v2"}
	fset := token.NewFileSet()
	for _, file := range []string{"stream.go", "incoming.go", "starttls.go", "header.go", "answer.go", "roster.go", "txt.go", "naming.go", "caps.go", "quirks.go"} {
		f, err := parser.ParseFile(fset, file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range f.Imports {
			if slices.Contains(forbidden, strings.Trim(imp.Path.Value, `"`)) {
				t.Errorf("%s imports %s", file, imp.Path.Value)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: go statement", fset.Position(n.Pos()))
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After"}, n.Sel.Name) {
					t.Errorf("%s: time.%s", fset.Position(n.Pos()), n.Sel.Name)
				}
			}
			return true
		})
	}
}
