package main

import "context"

func runCommand(args []string, p process) int {
	_, code, done := parse("run", args, p)
	if done {
		return code
	}
	_ = runStages(context.Background(), 0)
	return exitFailed
}
