#!/bin/sh
# From a budget to a detector that is proved, step by step: what `facenas run` does in one command.
#
#     sh examples/budget_to_detector.sh PHOTOS VAL_PHOTOS [OUT]
#
# PHOTOS, VAL_PHOTOS: labelled photos, different ones. LATENCY, DEVICE, EPOCHS and CROP may be set in the environment.
set -eu
photos=$1 val=$2 out=${3:-runs/budget_to_detector}
latency=${LATENCY:-12ms} device=${DEVICE:-cpu}

# What is in the photos, before hours go into them. Anything that is unusable ends this here.
facenas photos "$photos" --val "$val" --strict

# The best network under the budget, with a certificate that none of the space is better.
facenas search --latency "$latency" --device "$device" --out "$out/search"

# What its folder says is what the next commands take: no block string is carried by hand.
facenas predict "$out/search" --device "$device"
facenas train --arch "$out/search" --data "$photos" --val "$val" \
    --epochs "${EPOCHS:-12}" --crop "${CROP:-256}" --out "$out/training"

# The file for the runtime, and the proof that it answers as the trained network and is as fast as predicted: exit code 1 if not.
facenas export --checkpoint "$out/training" --format onnx --out "$out/model.onnx"
facenas verify "$out/model.onnx" --reference "$out/training" --data "$val" --device "$device" --latency "$latency"

# Which faces a least score keeps, and the faces of a folder, drawn.
facenas evaluate --model "$out" --data "$val"
facenas detect "$val/images" --model "$out" --out "$out/drawn"
