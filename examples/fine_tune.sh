#!/bin/sh
# A detector that ships, adapted to photos of your own.
#
#     sh examples/fine_tune.sh PHOTOS VAL_PHOTOS [OUT]
#
# Architecture and input are those of --init, the learning rate is low, and the detector that it starts from is what the
# trained weights must beat on VAL_PHOTOS. INIT, EPOCHS and CROP may be set in the environment.
set -eu
photos=$1 val=$2 out=${3:-runs/fine_tune}
init=${INIT:-facenas-12ms}

facenas evaluate --model "$init" --data "$val"
facenas train --init "$init" --data "$photos" --val "$val" --epochs "${EPOCHS:-5}" --crop "${CROP:-256}" --out "$out"
facenas export --checkpoint "$out" --out "$out/model.onnx"
facenas evaluate --model "$out" --data "$val"
