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
  for flag in --api-key --api-key=sk-secret --model-key --model-key=sk-secret; do
    run -4 --separate-stderr configure.sh "$flag" sk-secret
    [[ "$output" == '' && "$stderr" == "configure: "*"${flag%%=*}-stdin"* && "$stderr" != *sk-secret* ]]
  done
  [ ! -e "$DATA/.env" ]
}

@test "configure: what may be a key is not repeated, wherever it stands, and one that is none is refused" {
  for arguments in sk-secret '--mode remote sk-secret' '--force sk-secret' '--show sk-secret'; do
    IFS=' ' read -ra words <<<"$arguments"
    run -4 --separate-stderr configure.sh "${words[@]}"
    [[ "$output" == '' && "$stderr" == "configure: "* && "$stderr" != *sk-secret* ]]
  done
  run -4 --separate-stderr configure.sh --api-key-stdin <<<'one two'
  [[ "$output" == '' && "$stderr" == "configure: An API key is one word"* && "$stderr" != *two* ]]
  [ ! -e "$DATA/.env" ]
}

@test "configure: a setting of this shell that wins over what was written is named" {
  MEGA_CODE_API_KEY=mk-fedcba9876543210 run -0 --separate-stderr configure.sh --server-url https://gateway.example --mode remote \
    --api-key-stdin <<<'mk-0123456789abcdef'
  equal "warning: MEGA_CODE_API_KEY of this shell's environment counts, and not what was written; unset MEGA_CODE_API_KEY" "$stderr"
}

@test "configure: a setting is taken away by its name, and by no other" {
  run -0 configure.sh --server-url https://gateway.example --mode remote --api-key-stdin <<<'mk-0123456789abcdef'
  run -0 configure.sh --unset MEGA_CODE_API_KEY --unset MEGA_CODE_CLIENT_MODE
  equal MEGA_CODE_SERVER_URL=https://gateway.example "$(cat "$DATA/.env")"
  run -4 --separate-stderr configure.sh --unset PATH
  [[ "$output" == '' && "$stderr" == *invalid_arguments* ]]
}

@test "configure: asks on a terminal, without an echo of the key" {
  run -0 on_terminal 'Server URL' https://gateway.example 'API key' mk-0123456789abcdef \
    'Model: ' openai:small 'Model URL' https://models.example/v1 'Model key' sk-fedcba9876543210 -- configure.sh
  [[ "$output" != *0123456789abcdef* && "$output" != *fedcba9876543210* ]]
  grep -qx 'MEGA_CODE_API_KEY=mk-0123456789abcdef' "$DATA/.env"
  grep -qx 'MEGA_CODE_MODEL=openai:small' "$DATA/.env"
  grep -qx 'MEGA_CODE_MODEL_KEY=sk-fedcba9876543210' "$DATA/.env"
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

@test "configure: a model is set with its endpoint and key, and the key is shown masked" {
  run -0 --separate-stderr configure.sh --model openai:small --model-url https://models.example/v1/ \
    --model-key-stdin <<<'sk-0123456789abcdef'
  equal "$(printf '%s\n' MEGA_CODE_MODEL=openai:small MEGA_CODE_MODEL_URL=https://models.example/v1 \
    'MEGA_CODE_MODEL_KEY=sk-0…ef' "Written to $DATA/.env")" "$output"
  equal "$(printf '%s\n' MEGA_CODE_MODEL=openai:small MEGA_CODE_MODEL_URL=https://models.example/v1 \
    MEGA_CODE_MODEL_KEY=sk-0123456789abcdef)" "$(cat "$DATA/.env")"
  run -0 --separate-stderr configure.sh --show
  equal "$(printf '%s\n' MEGA_CODE_SERVER_URL= MEGA_CODE_CLIENT_MODE= MEGA_CODE_API_KEY= MEGA_CODE_MODEL=openai:small \
    MEGA_CODE_MODEL_URL=https://models.example/v1 'MEGA_CODE_MODEL_KEY=sk-0…ef' MEGA_CODE_MAX_CALLS= \
    MEGA_CODE_MAX_TOKENS= MEGA_CODE_MAX_COST_USD=)" "$output"
}

@test "configure: what a job may spend is set, shown and taken away again" {
  run -0 --separate-stderr configure.sh --max-calls 200 --max-tokens=1000000 --max-cost-usd 2.50
  equal "$(printf '%s\n' MEGA_CODE_MAX_CALLS=200 MEGA_CODE_MAX_TOKENS=1000000 MEGA_CODE_MAX_COST_USD=2.50 \
    "Written to $DATA/.env")" "$output"
  configure.sh --unset MEGA_CODE_MAX_TOKENS
  run -0 --separate-stderr configure.sh --show
  equal "$(printf '%s\n' MEGA_CODE_MAX_CALLS=200 MEGA_CODE_MAX_TOKENS= MEGA_CODE_MAX_COST_USD=2.50)" "$(tail -n 3 <<<"$output")"
}

@test "configure: a model that cannot work is said at once, and nothing is written" {
  run -4 --separate-stderr configure.sh --model gpt-5
  [[ "$output" == '' && "$stderr" == "configure: MEGA_CODE_MODEL names 'gpt-5'; known are "* ]]
  run -4 --separate-stderr configure.sh --model openai:small
  [[ "$stderr" == "configure: openai:small needs MEGA_CODE_MODEL_URL, such as https://host/v1."* ]]
  run -4 --separate-stderr configure.sh --model openai:small --model-url http://models.example/v1
  [[ "$stderr" == *insecure_server_url* ]]
  [ ! -e "$DATA/.env" ]
}

@test "configure: a model's URL that is set already counts, and static needs none" {
  run -0 configure.sh --model-url https://models.example/v1
  run -0 configure.sh --model openai:small
  run -0 configure.sh --model static
  grep -qx MEGA_CODE_MODEL=static "$DATA/.env"
}

@test "configure: an agent that is not on PATH is set, with a warning" {
  PATH="$BIN:$SCRIPTS:${REAL_PYTHON%/*}:/usr/bin:/bin"
  run -0 --separate-stderr configure.sh --model codex:small,codex
  equal "$(printf '%s\n' MEGA_CODE_MODEL=codex:small,codex "Written to $DATA/.env")" "$output"
  equal "warning: codex is not on this PATH; the gateway must find it on its own" "$stderr"
}
