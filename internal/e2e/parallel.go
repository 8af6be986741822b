package e2e

import (
	"flag"
	"runtime"
	"strconv"
)

// WorkInParallel lets four tests for each processor run at once, unless the
// command line says how many: labs wait more than they work. It is for TestMain.
func WorkInParallel() {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if !said {
		_ = flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0))) // a number
	}
}
