module peers/bench

go 1.19
