// RUN: ASCEND_ROUNDTRIP
// RUN: ASCEND_GENERIC

// One convolution with a residual: what the device is told, and nothing else.
om.model "sample" soc "Ascend310P3" memory 2048 at 68719476736 weights at 1099511627776 code "ascend-mlir.isa.1" attributes {framework_type = "5", magic = #om.bytes<"\FF\00">} {
  om.input "x" : f16 [1, 16, 4, 4] NCHW bytes 512 at 0
  om.weight "w" : f16 [16, 16, 1, 1] FRACTAL_Z storage [1, 1, 16, 16] origin NCHW bytes 512 at 512 digest "00" from #om.file<"sample.om">
  om.kernel "conv_7c1e" code "0a1b"
  om.node "conv" : "Conv2D" ("x:0", "w:0") : (f16 [1, 16, 4, 4] NC1HWC0 storage [1, 1, 4, 4, 16] origin NCHW bytes 512, f16 [16, 16, 1, 1] FRACTAL_Z storage [1, 1, 16, 16] origin NCHW bytes 512) -> (f16 [1, 16, 4, 4] NC1HWC0 storage [1, 1, 4, 4, 16] origin NCHW bytes 512) reads [0, 512] writes [1024] attributes {strides = [1, 1]}
  om.task "conv_7c1e" blocks 8 args [feature_map + 0, weights + 512, feature_map + 1024, 56] node 0 from [["conv", "bn"], []]
  om.task "Scatter" blocks 1 args [feature_map + 1024] node 0 stream 1 type 6 info "\0A"
  om.output "y" : f16 [1, 16, 4, 4] ND bytes 512 at 1024 source "conv:0"
  om.partition 12 content "c0ffee"
}

// CHECK:      om.model "sample" soc "Ascend310P3" memory 2048 at 68719476736 weights at 1099511627776 code "ascend-mlir.isa.1" attributes {framework_type = "5", magic = #om.bytes<"\FF\00">} {
// CHECK-NEXT:   om.input "x" : f16 [1, 16, 4, 4] NCHW bytes 512 at 0
// CHECK-NEXT:   om.weight "w" : f16 [16, 16, 1, 1] FRACTAL_Z storage [1, 1, 16, 16] origin NCHW bytes 512 at 512 digest "00" from #om.file<"sample.om">
// CHECK-NEXT:   om.kernel "conv_7c1e" code "0a1b"
// CHECK-NEXT:   om.node "conv" : "Conv2D" ("x:0", "w:0") : (f16 [1, 16, 4, 4] NC1HWC0 storage [1, 1, 4, 4, 16] origin NCHW bytes 512, f16 [16, 16, 1, 1] FRACTAL_Z storage [1, 1, 16, 16] origin NCHW bytes 512) -> (f16 [1, 16, 4, 4] NC1HWC0 storage [1, 1, 4, 4, 16] origin NCHW bytes 512) reads [0, 512] writes [1024] attributes {strides = [1 : i64, 1 : i64]}
// CHECK-NEXT:   om.task "conv_7c1e" blocks 8 args [feature_map + 0, weights + 512, feature_map + 1024, 56] node 0 from [["conv", "bn"], []]
// CHECK-NEXT:   om.task "Scatter" blocks 1 args [feature_map + 1024] node 0 stream 1 type 6 info "\0A"
// CHECK-NEXT:   om.output "y" : f16 [1, 16, 4, 4] ND bytes 512 at 1024 source "conv:0"
// CHECK-NEXT:   om.partition 12 content "c0ffee"
// CHECK-NEXT: }

// The same for two batch sizes: weights and kernels are those of one place and one name.
om.profiles "batch" of ["x"] sizes [[1], [4]] table 1024 {
  om.model "sample" soc "Ascend310P3" memory 2048 at 68719476736 weights at 1099511627776 code "ascend-mlir.isa.1" {
    om.input "x" : f16 [1, 16] ND bytes 32 at 0
    om.weight "w" : f16 [16] ND bytes 32 at 512 from #om.file<"sample.om">
    om.kernel "add" code "0a1b"
    om.task "add" blocks 1 args [feature_map + 0, weights + 512, feature_map + 1024] node 0
    om.output "y" : f16 [1, 16] ND bytes 32 at 1024
  }
  om.model "sample" soc "Ascend310P3" memory 2048 at 68719476736 weights at 1099511627776 code "ascend-mlir.isa.1" {
    om.input "x" : f16 [4, 16] ND bytes 128 at 0
    om.weight "w" : f16 [16] ND bytes 32 at 512 from #om.file<"sample.om">
    om.kernel "add" code "0a1b"
    om.task "add" blocks 4 args [feature_map + 0, weights + 512, feature_map + 1024] node 0
    om.output "y" : f16 [4, 16] ND bytes 128 at 1024
  }
}

// CHECK:      om.profiles "batch" of ["x"] sizes [[1], [4]] table 1024 {
// CHECK-NEXT:   om.model "sample" soc "Ascend310P3" memory 2048 at 68719476736 weights at 1099511627776 code "ascend-mlir.isa.1" {
// CHECK-NEXT:     om.input "x" : f16 [1, 16] ND bytes 32 at 0
// CHECK-NEXT:     om.weight "w" : f16 [16] ND bytes 32 at 512 from #om.file<"sample.om">
// CHECK-NEXT:     om.kernel "add" code "0a1b"
// CHECK-NEXT:     om.task "add" blocks 1 args [feature_map + 0, weights + 512, feature_map + 1024] node 0
// CHECK-NEXT:     om.output "y" : f16 [1, 16] ND bytes 32 at 1024
// CHECK-NEXT:   }
// CHECK-NEXT:   om.model "sample" soc "Ascend310P3" memory 2048 at 68719476736 weights at 1099511627776 code "ascend-mlir.isa.1" {
// CHECK-NEXT:     om.input "x" : f16 [4, 16] ND bytes 128 at 0
// CHECK-NEXT:     om.weight "w" : f16 [16] ND bytes 32 at 512 from #om.file<"sample.om">
// CHECK-NEXT:     om.kernel "add" code "0a1b"
// CHECK-NEXT:     om.task "add" blocks 4 args [feature_map + 0, weights + 512, feature_map + 1024] node 0
// CHECK-NEXT:     om.output "y" : f16 [4, 16] ND bytes 128 at 1024
// CHECK-NEXT:   }
// CHECK-NEXT: }
