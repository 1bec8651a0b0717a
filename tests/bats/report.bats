#!/usr/bin/env bats

load test_helper

@test "report: says in words what the envelope means" {
  printf '{"timeout": {"job_id": "12345678-1234-1234-1234-123456789abc", "elapsed_s": 5}}\n' >"an envelope.json"
  run -0 --separate-stderr report.sh "an envelope.json"
  [[ "$output" == *12345678-1234-1234-1234-123456789abc*scripts/enhance.sh*" --poll-existing "* ]]
  equal '' "$stderr"
}

@test "report: points at the log it is given, however it is named" {
  printf '{"status": "failed", "artifact_kind": "none", "result": {}, "installed": false, "job_id": "x"}\n' >e.json
  run -0 report.sh --log a.log e.json
  [[ "$output" == *"$PROJECT/a.log"* ]]
}

@test "report: no envelope is status 4" {
  run -4 --separate-stderr report.sh
  equal "report: name the envelope; see --help." "$stderr"
  run -4 --separate-stderr report.sh missing.json
  equal "|report: '$PROJECT/missing.json' is not there. [invalid_path]" "$output|$stderr"
  printf '{"status": "succeeded", "installed": false, "needs_install_location": true}\n' >ready.json
  run -4 --separate-stderr report.sh ready.json
  equal "|report: The envelope names no job to install. [invalid_arguments]" "$output|$stderr"
  run -4 --separate-stderr report.sh one two
  equal "report: one envelope at a time; see --help." "$stderr"
}
