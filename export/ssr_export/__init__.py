"""Export stage: fold, ONNX, calibration, Q/DQ, engines and the gate that turn a checkpoint into a bundle."""
