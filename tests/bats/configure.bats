#!/usr/bin/env bats

load test_helper

@test "configure: writes the file, private, and shows the key masked" {
  run -0 --separate-stderr configure.sh --server-url https://gateway.example --mode remote --api-key-stdin <<<'mk-0123456789abcdef'
  [[ "$output" == *"MEGA_CODE_SERVER_URL=https://gateway.example"* ]]
  [[ "$output$stderr" != *0123456789abcdef* ]]
  [[ "$(ls -l "$DATA/.env")" == -rw-------* ]]
  grep -qx 'MEGA_CODE_API_KEY=mk-0123456789abcdef' "$DATA/.env"
}

@test "configure: a key on the command line is refused and not repeated" {
  for flag in --api-key --api-key=sk-secret; do
    run -4 --separate-stderr configure.sh "$flag" sk-secret
    [[ "$output" == '' && "$stderr" == "configure: "*"--api-key-stdin"* && "$stderr" != *sk-secret* ]]
  done
  [ ! -e "$DATA/.env" ]
}

@test "configure: asks on a terminal, without an echo of the key" {
  run -0 on_terminal 'Server URL' https://gateway.example 'API key' mk-0123456789abcdef -- configure.sh
  [[ "$output" != *0123456789abcdef* ]]
  grep -qx 'MEGA_CODE_API_KEY=mk-0123456789abcdef' "$DATA/.env"
}

@test "configure: Ctrl+C at the question changes nothing" {
  run -130 on_terminal 'Server URL' '^C' -- configure.sh
  [ ! -e "$DATA/.env" ]
}

@test "configure: nothing to set without a terminal is status 4" {
  run -4 --separate-stderr configure.sh </dev/null
  [[ "$output" == '' && "$stderr" == "configure: "* ]]
  run -4 --separate-stderr configure.sh --server-url http://gateway.example
  [[ "$stderr" == *insecure_server_url* ]]
}
