#!/usr/bin/env bats

load test_helper

teardown() {
  gateway.sh stop >"$ROOM/stopped" 2>&1 || cat "$ROOM/stopped"
}

@test "gateway: starts, says where it is, and stops; one line each" {
  run -0 --separate-stderr gateway.sh start 3>&-
  [[ "$output" =~ ^http://127\.0\.0\.1:[0-9]+$ ]]
  url="$output"
  run -0 --separate-stderr gateway.sh start 3>&-
  equal "$url" "$output"
  run -0 --separate-stderr gateway.sh url
  equal "$url" "$output"
  run -0 --separate-stderr gateway.sh status
  [[ "$output" == "running at $url"* ]]
  run -0 --separate-stderr gateway.sh stop
  [ "${#lines[@]}" -eq 1 ]
  run -3 --separate-stderr gateway.sh status
  equal "not running" "$output"
}

@test "gateway: once it runs, setup needs nothing else" {
  run -0 gateway.sh start 3>&-
  run -0 --separate-stderr setup.sh
  [ "${#lines[@]}" -eq 4 ]
}

@test "gateway: anything but its four words is status 4" {
  for words in '' restart 'start now' --port; do
    IFS=' ' read -ra arguments <<<"$words"
    run -4 --separate-stderr gateway.sh ${arguments[@]+"${arguments[@]}"}
    [[ "$output" == '' && "$stderr" == "gateway: "*"see --help." ]]
  done
}
